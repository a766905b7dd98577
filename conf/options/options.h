// Options<T> declares the keys of an options struct, each once: name, type, default, bounds, how a change is
// applied, help. Checking, loading, `drover help config`, the JSON schema and the diff all come from that one
// declaration.
//
//     struct EchoOptions {
//         std::uint64_t max_buffer = 0;
//         static const Options<EchoOptions>& options();
//     };
//     const Options<EchoOptions>& EchoOptions::options() {
//         static const auto table = Options<EchoOptions>("Sends back what it receives.")
//             .size("max_buffer", &EchoOptions::max_buffer, {.fallback = 65536, .min = 1024}, Apply::hot,
//             "Bytes ...");
//         return table;
//     }
//
// Loading happens once per generation and process; at run time a setting is a plain member. Texts are views
// into the image and live as long as it. Runs in: config reader (check), master and worker (load).
#pragma once

#include "conf/image/image.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace drover {

// Collects what a check finds. A path names a key from the table being checked: "route[2].path"; empty: the
// table itself.
class Complaints {
  public:
    virtual ~Complaints() = default;
    virtual void add(std::string_view path, std::string message) = 0;
};

// What a value may be made to depend on (conf/reader/machine.h).
enum class Resource : std::uint8_t {
    none,
    processors,   // "auto": one for each that we may use
    memory,       // "auto": an equal part for each worker; "25%": of all that there is
    descriptors,  // "auto": a part of those that a worker may have, at most `fallback`
};

// Bounds of an integer, duration (milliseconds) or size (bytes). `word` is a text that stands for 0 ("off",
// "system"). With a resource "auto" is a value as well, and stands for a number within the bounds that the
// config reader finds.
struct IntegerRule {
    std::int64_t fallback = 0;
    std::int64_t min = 0;
    std::int64_t max = std::numeric_limits<std::int64_t>::max();
    std::string word = {};
    bool fallback_is_word = false;
    bool required = false;
    Resource resource = Resource::none;
};

inline constexpr std::string_view auto_word = "auto";
// "1%" to "100%"; none: it is no share.
std::optional<unsigned> parse_share(std::string_view text) noexcept;
// "auto", or a share, where the rule has it.
bool names_resource(const IntegerRule& rule, std::string_view text) noexcept;

struct TextRule {
    std::string fallback = {};
    std::size_t max_size = 4096;
    bool required = false;
    bool allow_empty = true;
    // A file that the master opens for the module to append to (worker/module/module_files.h); empty: none.
    // There must be no other fallback.
    bool master_file = false;
    // A directory that has to be there, and may be entered, when the configuration is checked; empty: none.
    bool directory = false;
    // A password, a key: shown as "********" wherever values are shown.
    bool secret = false;
};

class OptionTable;

// One declared key, type-erased.
struct OptionKey {
    std::string name = {};
    ValueType type = ValueType::text;
    Apply apply = Apply::fresh;
    std::string help = {};
    IntegerRule integer = {};                       // boolean (fallback 0 or 1), integer, duration, size
    TextRule text = {};                             // text
    std::vector<std::string> choices = {};          // text that must be one of these
    std::shared_ptr<const OptionTable> table = {};  // of a table, or of a list's elements
    bool list = false;                              // a list of `type` (text or table)
    std::size_t max_items = 0;                      // of a list
    std::vector<std::string> default_items = {};    // of a list of texts
    Masking masking = Masking::none;                // of a text, or of each in a list
};

class OptionTable {
  public:
    explicit OptionTable(std::string title) : title_(std::move(title)) {}
    const std::string& title() const noexcept { return title_; }
    const std::vector<OptionKey>& keys() const noexcept { return keys_; }
    const OptionKey* find(std::string_view name) const noexcept;

  protected:
    // DROVER_CHECKs the declaration: the name (lower case, digits, '_'; unique), a default within its bounds.
    OptionKey& add(OptionKey key);

    std::string title_;
    std::vector<OptionKey> keys_;
};

template <class T>
class Options : public OptionTable {
  public:
    using OptionTable::OptionTable;

    Options& boolean(std::string name, bool T::*member, bool fallback, Apply apply, std::string help);
    template <class Integer>
    Options& integer(std::string name, Integer T::*member, IntegerRule rule, Apply apply, std::string help);
    // "250ms", "30s", "1m30s", "2h", "1d"; a bare number is refused (its unit is not clear), 0 is not.
    template <class Integer>
    Options& duration(std::string name, Integer T::*member, IntegerRule rule, Apply apply, std::string help);
    // 65536, "64K", "64k", "64KiB" (1024), "10kB", "10MB" (1000), and so on up to "G".
    template <class Integer>
    Options& size(std::string name, Integer T::*member, IntegerRule rule, Apply apply, std::string help);
    Options& text(std::string name, std::string_view T::*member, TextRule rule, Apply apply,
                  std::string help);
    Options& texts(std::string name, std::vector<std::string_view> T::*member,
                   std::vector<std::string> fallback, Apply apply, std::string help,
                   std::size_t max_items = 64, Masking masking = Masking::none);
    template <class Enum>
    Options& choice(std::string name, Enum T::*member, std::vector<std::pair<std::string, Enum>> choices,
                    Enum fallback, Apply apply, std::string help);
    // An inline or headed table; absent: the member keeps what its own defaults say.
    template <class U>
    Options& table(std::string name, U T::*member, const Options<U>& options, Apply apply, std::string help);
    // [[name]]: a list of tables.
    template <class U>
    Options& tables(std::string name, std::vector<U> T::*member, const Options<U>& options,
                    std::size_t max_items, Apply apply, std::string help);

    // Fills a T from a checked table of the image. A key the image lacks keeps the declared default; so does
    // every key of "no node". Throws std::runtime_error when a value breaks its declaration: an image is not
    // trusted.
    T load(const ImageNode& table) const;

  private:
    template <class Integer>
    Options& add_integer(ValueType type, std::string name, Integer T::*member, IntegerRule rule, Apply apply,
                         std::string help);
    T load_verified(const ImageNode& table) const;

    template <class U>
    friend class Options;
    // Each takes its own key's node, or no node.
    std::vector<std::function<void(T&, const ImageNode&)>> loaders_;  // one a key, in the order of keys()
};

// Throws std::runtime_error that names the first value of `table` that is not what `options` declares, or,
// with `complete`, the first key that is missing. Cheap: no allocation unless it throws.
void verify_options(const OptionTable& options, const ImageNode& table, bool complete);

}  // namespace drover

#include "conf/options/options_impl.h"
