// Response is a handler's right to answer one request: at once, or later from a timer, another connection's
// hook or another turn of the loop. Movable; whoever lets it go unanswered has answered 500, or, in the
// middle of a streamed body, has cut the connection off. When the client is gone every call is harmless.
//
//     response.header("Cache-Control", "no-store").send(200, "text/plain", "hello\n");
//
//     response.type("text/event-stream").begin();       // streamed
//     response.write("data: 1\n\n");
//     response.on_writable([this] { produce(); });      // below the low mark again
//     response.end();
//
// Runs in: worker, on its one thread; a thread that computes tells the loop, and the loop answers.
#pragma once

#include "worker/stream/file_range.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace drover::http {

class HttpConnection;
struct Exchange;

class Response {
  public:
    // Special state: empty, where every call does nothing.
    Response() noexcept = default;
    explicit Response(std::shared_ptr<Exchange> exchange) noexcept;
    ~Response();
    Response(Response&&) noexcept = default;
    Response& operator=(Response&& other) noexcept;
    Response(const Response&) = delete;
    Response& operator=(const Response&) = delete;

    // Before the answer begins. 200 to 599; 200 unless said.
    Response& status(unsigned status);
    // Content-Type; none unless said.
    Response& type(std::string_view type);
    // Any header but Date, Content-Length, Transfer-Encoding and Connection, which are made here. Throws
    // std::invalid_argument for those, a name that is no token and a value with control characters.
    Response& header(std::string_view name, std::string_view value);

    // Complete lines, as they are sent; for what was checked when it was made.
    Response& lines(std::string_view lines);

    // The whole answer. To HEAD it goes without the body. A status that has no body (204, 304) drops it.
    void send(std::string_view body = {});
    void send(unsigned status, std::string_view type, std::string_view body);
    // The same with a part of a regular file as body.
    void send_file(FileRange body);
    // As the server answers what it refuses: with the configured page, or "404 Not Found".
    void send_error(unsigned status);

    // A body that is made bit by bit: of a length that is said here (who then writes less or more cuts the
    // connection off), or chunked, which HTTP/1.0 does not know: there it ends with the connection.
    void begin(std::optional<std::uint64_t> length = std::nullopt);
    void write(std::string_view bytes);
    void write_file(FileRange range);
    void end();

    // False above the connection's high mark (256 KiB unsent): stop writing until on_writable is called,
    // once. False when the client is gone, too.
    bool writable() const noexcept;
    void on_writable(std::function<void()> callback);

    // The client has closed its end, or the connection broke. It may still be reading.
    bool client_gone() const noexcept;
    // Called at most once, and not at all when the answer came first.
    void on_client_gone(std::function<void()> callback);

    // After BodyReceiver::Next::pause.
    void resume_body();

  private:
    friend class HttpConnection;
    void give_up() noexcept;
    void release() noexcept { exchange_.reset(); }
    HttpConnection* connection() const noexcept;

    std::shared_ptr<Exchange> exchange_;
};

}  // namespace drover::http
