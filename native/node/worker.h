#pragma once

#include <napi.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "node/entry.h"

namespace distill::node {

struct Nothing {};

// A promise, and the objects that must stay alive until it settles. Used on the JavaScript thread
// alone, but for `failure`.
struct Job {
  Job(Napi::Env env, std::function<void()> request_stop, const std::vector<Napi::Object>& kept,
      Napi::Function callback);
  ~Job();
  void let_go();
  // Resolves to the value, or rejects with the exception of the work, its callback or the
  // conversion.
  void settle(Napi::Env env, const std::function<Napi::Value()>& value);

  Napi::Promise::Deferred deferred;
  std::function<void()> request_stop;
  std::vector<Napi::ObjectReference> kept;
  Napi::FunctionReference callback;
  std::optional<Napi::Error> callback_failure;
  std::exception_ptr failure;  // written by the work's thread before the job is settled
};

// Sends plain values from a job's thread to the JavaScript thread.
class Channel {
 public:
  // Work for the JavaScript thread.
  using Message = std::function<void(Napi::Env)>;

  // `last` is the message of finish(), made now so that finish() cannot fail.
  Channel(Napi::Env env, std::shared_ptr<Job> job, Message last);
  ~Channel();
  // Calls the job's callback. If that throws, the work is asked to stop, and the promise rejects
  // with the exception.
  void call(std::function<Napi::Value(Napi::Env)> argument);
  void finish() noexcept;

 private:
  static void receive(Napi::Env env, Napi::Function, std::nullptr_t*, Message* message);
  void send(std::unique_ptr<Message> message) noexcept;

  using Queue = Napi::TypedThreadSafeFunction<std::nullptr_t, Message, receive>;
  std::shared_ptr<Job> job_;
  std::unique_ptr<Message> last_;
  Queue queue_;
  bool is_open_ = true;
};

// One thread that does jobs in turn. Each job settles its promise once, on the JavaScript thread;
// while one is pending the event loop stays alive. JavaScript values are touched on the JavaScript
// thread alone.
//
// The thread is made for the first job, and ends with close(). When the environment ends (the
// process exits, a worker_thread is terminated) it is asked to stop and joined before any of its
// memory goes.
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

  // Runs `work` on the thread and resolves to its result, converted by `convert`.
  //
  // `kept` are the JavaScript objects that must stay alive until then: the owner of this worker,
  // and the arrays that `work` reads. `work` may call `callback` through its channel.
  //
  // Throws ERR_CLOSED after close(), and ERR_THREADS where no thread can be made.
  template <typename Result>
  Napi::Value run(Napi::Env env, std::function<Result(Channel&)> work,
                  std::function<Napi::Value(Napi::Env, const Result&)> convert,
                  std::vector<Napi::Object> kept = {}, Napi::Function callback = {}) {
    if (is_closed_) throw Error("ERR_CLOSED", "it has been closed; make a new one");
    return start<Result>(env, std::move(work), std::move(convert), std::move(kept), callback);
  }

  // Posts the last job, after those that wait: when it is done the thread ends, even if it threw.
  // Later calls are refused, but close() itself is not.
  Napi::Value close(Napi::Env env, std::function<void()> work, std::vector<Napi::Object> kept);

 private:
  template <typename Result>
  Napi::Value start(Napi::Env env, std::function<Result(Channel&)> work,
                    std::function<Napi::Value(Napi::Env, const Result&)> convert,
                    std::vector<Napi::Object> kept, Napi::Function callback = {}) {
    const auto job = std::make_shared<Job>(env, request_stop_, kept, callback);
    try {
      const auto result = std::make_shared<std::optional<Result>>();
      const auto channel = std::make_shared<Channel>(
          env, job, [job, result, convert = std::move(convert)](Napi::Env env) {
            job->settle(env, [&] { return convert(env, result->value()); });
          });
      post([job, channel, result, work = std::move(work)] {
        try {
          result->emplace(work(*channel));
        } catch (...) {
          job->failure = std::current_exception();
        }
        channel->finish();
      });
    } catch (...) {
      job->let_go();
      throw;
    }
    return job->deferred.Promise();
  }

  static void on_environment_end(void* self);
  void post(std::function<void()> task);
  void loop() noexcept;
  void shut_down();

  Napi::Env env_;
  std::function<void()> request_stop_;
  bool is_closed_ = false;                             // for JavaScript
  std::vector<Napi::Promise::Deferred> also_closing_;  // settled with the first close()
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  bool is_closing_ = false;  // the thread ends when there is nothing left to do
  bool is_ending_ = false;   // the thread ends now
  std::thread thread_;
};

// Exports functions whose work is done on one thread, which they share for as long as one of them
// is reachable.
using WorkerFunction = Napi::Value(Worker& worker, const Napi::CallbackInfo& info);
void export_functions(Napi::Env env, Napi::Object exports,
                      std::initializer_list<std::pair<const char*, WorkerFunction*>> functions);

}  // namespace distill::node
