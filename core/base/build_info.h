// How this program was built, where that changes what it may do.
#pragma once

namespace drover {

// AddressSanitizer reserves terabytes of address space: RLIMIT_AS would end the process.
#if defined(__SANITIZE_ADDRESS__)
#define DROVER_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DROVER_ADDRESS_SANITIZER
#endif
#endif

#if defined(DROVER_ADDRESS_SANITIZER)
inline constexpr bool address_sanitizer = true;
#else
inline constexpr bool address_sanitizer = false;
#endif

}  // namespace drover
