#include "master/observation_desk.h"

namespace drover {

void ObservationDesk::answer_status(Channel& channel, const QuestionMessage& question) {
    publish_();
    channel.send(MessageType::status_published, question);
}

void ObservationDesk::forget(const Channel&) {}

}  // namespace drover
