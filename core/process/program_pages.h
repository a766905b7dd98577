// The program's own pages in a process's memory: they are mapped as they are first touched, 64 KiB around
// each place, so that what only a start needs stays resident for ever. Runs in: worker.
#pragma once

namespace drover {

// Unmaps code and constants of the program and its libraries from this process's page tables; the kernel maps
// again, from its cache, what is needed further on. Mappings of which a page was ever written are left alone.
// Best effort.
void release_program_pages() noexcept;

}  // namespace drover
