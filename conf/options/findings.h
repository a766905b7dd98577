// Findings collects what a check finds, one line each, "FILE:LINE:COLUMN: KEY: what is wrong; what would be
// right". Bounded: of the findings beyond max_findings only the number is kept. Runs in: the config reader.
#pragma once

#include "conf/reader/document.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover {

inline constexpr std::size_t max_findings = 100;

class Findings {
  public:
    // Those that the document has already are in it.
    explicit Findings(const Document& document);

    void add(SourcePlace place, std::string_view key, std::string_view message);
    // The same of what the machine lacks, and may have later.
    void add_of_machine(SourcePlace place, std::string_view key, std::string_view message);
    // "unknown WHAT "WORD"", with what was probably meant, or with what is known.
    void add_unknown(SourcePlace place, std::string_view key, std::string_view what, std::string_view word,
                     std::span<const std::string> known);
    // How many there are, those not kept included.
    std::size_t count() const noexcept { return lines_.size() + left_out_; }
    std::size_t of_the_file() const noexcept { return count() - of_machine_; }
    // In the order of their places; what has none comes last.
    std::vector<std::string> take();
    const Document& document() const noexcept { return document_; }

  private:
    const Document& document_;
    std::vector<Fault> lines_;
    std::size_t left_out_ = 0;
    std::size_t of_machine_ = 0;
};

// The one of `known` that `word` is most likely a misspelling of; empty when none is near.
std::string_view nearest_word(std::string_view word, std::span<const std::string> known);

// "; did you mean "workers"?", or the list of what is known, or nothing when nothing is.
std::string suggestion(std::string_view word, std::span<const std::string> known);

// `"a", "b"`
std::string quoted_list(std::span<const std::string> words);

}  // namespace drover
