// What benches that wait for servers share. Runs in: benches.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace drover::test {

using BenchClock = std::chrono::steady_clock;

double since_ms(BenchClock::time_point start);
double median(std::vector<double> values);
// New connections until one gets this body; throws when none does in time.
void wait_answer(std::uint16_t port, const std::string& body);
// Replaces a file in one step.
void replace_file(const std::string& path, const std::string& text);

}  // namespace drover::test
