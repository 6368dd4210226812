#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace distill::node {

// A failure on its way from a worker to JavaScript.
struct Failure {
  std::string code, message;
};
// What the exception in flight says, in one sentence and without a backtrace.
Failure current_failure();
// Throws it as a JavaScript error with a `code`.
Napi::Error to_error(Napi::Env env, const Failure& failure);

// Sends plain values to a JavaScript callback from the worker's thread.
class Channel {
 public:
  // Runs on the JavaScript thread.
  using Message = std::function<void(Napi::Env, Napi::Function callback)>;

  Channel(Napi::Env env, Napi::Function callback);
  ~Channel();
  void send(Message message);

 private:
  static void receive(Napi::Env env, Napi::Function callback, std::nullptr_t* context,
                      Message* message);
  using Queue = Napi::TypedThreadSafeFunction<std::nullptr_t, Message, receive>;
  Queue queue_;
};

// One thread that does jobs in turn. Each job settles its promise once, on the JavaScript thread;
// while one is pending the event loop stays alive. JavaScript values are touched on the JavaScript
// thread alone.
//
// When the environment ends (the process exits, a worker_thread is terminated) the thread is asked
// to stop and joined before any of its memory goes.
class Worker {
 public:
  // `request_stop` makes the running job return soon; it is called from the JavaScript thread.
  Worker(
      Napi::Env env, std::function<void()> request_stop = [] {});
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Ends the threads of all workers of an environment: process.exit() runs no cleanup hooks, but it
  // does run the destructors of LibTorch's own objects, which no thread at work may live to see.
  static void shut_down_all(Napi::Env env);

  // Runs `work` on the thread and resolves to what `convert` makes of its result.
  //
  // `kept` are the JavaScript objects that must stay alive until then: the owner of this worker,
  // and whatever memory `work` reads. `callback` is what `work` may call through its channel.
  template <typename Result>
  Napi::Value run(Napi::Env env, std::function<Result(Channel&)> work,
                  std::function<Napi::Value(Napi::Env, const Result&)> convert,
                  std::vector<Napi::Object> kept = {}, Napi::Function callback = {}) {
    auto job = std::make_shared<Job>(env, kept);
    if (callback.IsEmpty()) callback = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
    auto channel = std::make_shared<Channel>(env, callback);
    post([job, channel, work = std::move(work), convert = std::move(convert)] {
      try {
        auto result = std::make_shared<Result>(work(*channel));
        channel->send([job, result, convert](Napi::Env env, Napi::Function) {
          job->settle(env, [&] { job->deferred.Resolve(convert(env, *result)); });
        });
      } catch (...) {
        channel->send([job, failure = current_failure()](Napi::Env env, Napi::Function) {
          job->settle(env, [&] { job->deferred.Reject(to_error(env, failure).Value()); });
        });
      }
    });
    return job->deferred.Promise();
  }

 private:
  struct Job {
    Job(Napi::Env env, const std::vector<Napi::Object>& kept);
    ~Job();
    void settle(Napi::Env env, const std::function<void()>& settle_promise);
    Napi::Promise::Deferred deferred;
    std::vector<Napi::ObjectReference> kept;
  };

  static void on_environment_end(void* self);
  void post(std::function<void()> task);
  void loop();
  void shut_down();

  Napi::Env env_;
  std::function<void()> request_stop_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace distill::node
