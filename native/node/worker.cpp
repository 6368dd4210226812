#include "node/worker.h"

#include <set>

#include "core/error.h"
#include "core/parallel/openmp.h"

namespace distill::node {

namespace {

// All workers of the process. Never destroyed, as a worker may end after this file's own objects.
struct Live {
  std::mutex mutex;
  std::set<Worker*> workers;
};
Live& live() {
  static auto* const live = new Live;
  return *live;
}

}  // namespace

Job::Job(Napi::Env env, std::function<void()> request_stop,
         const std::vector<Napi::Object>& objects, Napi::Function function)
    : deferred(env), request_stop(std::move(request_stop)) {
  for (const Napi::Object& object : objects) kept.push_back(Napi::Persistent(object));
  if (!function.IsEmpty()) callback = Napi::Persistent(function);
}

Job::~Job() {
  // References are left only when the environment has ended, which took them with it.
  for (Napi::ObjectReference& reference : kept) reference.SuppressDestruct();
  callback.SuppressDestruct();
  if (callback_failure) callback_failure->SuppressDestruct();
}

void Job::let_go() {
  kept.clear();
  callback.Reset();
  callback_failure.reset();
}

void Job::settle(Napi::Env env, const std::function<Napi::Value()>& value) {
  const Napi::HandleScope scope(env);
  try {
    if (callback_failure) throw Napi::Error(*callback_failure);
    if (failure) std::rethrow_exception(failure);
    deferred.Resolve(value());
  } catch (...) {
    deferred.Reject(current_error(env).Value());
  }
  let_go();
}

Channel::Channel(Napi::Env env, std::shared_ptr<Job> job, Message last)
    : job_(std::move(job)),
      last_(std::make_unique<Message>(std::move(last))),
      queue_(Queue::New(env, "node-distill", /*maxQueueSize=*/0, /*initialThreadCount=*/1)) {}

Channel::~Channel() {
  if (is_open_) queue_.Release();
}

void Channel::call(std::function<Napi::Value(Napi::Env)> argument) {
  send(std::make_unique<Message>([job = job_, argument = std::move(argument)](Napi::Env env) {
    const Napi::HandleScope scope(env);
    try {
      if (!job->callback_failure) job->callback.Value().Call({argument(env)});
    } catch (...) {
      job->callback_failure = current_error(env);
      job->request_stop();
    }
  }));
}

void Channel::finish() noexcept {
  send(std::move(last_));
}

void Channel::send(std::unique_ptr<Message> message) noexcept {
  if (!is_open_) return;
  const napi_status status = queue_.NonBlockingCall(message.get());
  if (status == napi_ok) message.release();
  // The environment is ending, and nobody waits for the message. The queue must not be touched
  // again.
  if (status == napi_closing) is_open_ = false;
}

void Channel::receive(Napi::Env env, Napi::Function, std::nullptr_t*, Message* message) {
  const std::unique_ptr<Message> owned(message);
  if (env == nullptr) return;
  try {
    (*owned)(env);
  } catch (...) {
    // Messages catch their own exceptions: this is an environment that no longer takes errors.
  }
}

Worker::Worker(Napi::Env env, std::function<void()> request_stop)
    : env_(env), request_stop_(std::move(request_stop)) {
  {
    const std::lock_guard lock(live().mutex);
    live().workers.insert(this);
  }
  napi_add_env_cleanup_hook(env_, on_environment_end, this);
}

Worker::~Worker() {
  {
    const std::lock_guard lock(live().mutex);
    live().workers.erase(this);
  }
  napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  shut_down();
}

void Worker::on_environment_end(void* self) {
  static_cast<Worker*>(self)->shut_down();
}

void Worker::shut_down_all(Napi::Env env) {
  std::vector<Worker*> workers;
  {
    const std::lock_guard lock(live().mutex);
    for (Worker* worker : live().workers) {
      // An environment's workers are made and destroyed on its own thread: this one.
      if (napi_env(worker->env_) == napi_env(env)) workers.push_back(worker);
    }
  }
  for (Worker* worker : workers) worker->request_stop_();  // all first: they end at the same time
  for (Worker* worker : workers) worker->shut_down();
}

Napi::Value Worker::close(Napi::Env env, std::function<void()> work,
                          std::vector<Napi::Object> kept) {
  if (is_closed_ || !thread_.joinable()) {  // without a thread, there is nothing that it has left
    is_closed_ = true;
    const auto deferred = Napi::Promise::Deferred::New(env);
    if (thread_.joinable()) {
      also_closing_.push_back(deferred);
    } else {
      deferred.Resolve(env.Undefined());
    }
    return deferred.Promise();
  }
  const auto failure = std::make_shared<std::exception_ptr>();
  const Napi::Value promise = start<Nothing>(
      env,
      [work = std::move(work), failure](Channel&) {
        try {
          work();
        } catch (...) {
          *failure = std::current_exception();
        }
        return Nothing();
      },
      [this, failure](Napi::Env env, const Nothing&) {
        thread_.join();  // it has nothing more to do than to end
        for (const auto& deferred : std::exchange(also_closing_, {})) {
          deferred.Resolve(env.Undefined());
        }
        if (*failure) std::rethrow_exception(*failure);
        return env.Undefined();
      },
      std::move(kept));
  is_closed_ = true;
  const std::lock_guard lock(mutex_);
  is_closing_ = true;
  wake_.notify_one();
  return promise;
}

void Worker::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (is_ending_) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
  tasks_.push_back(std::move(task));
  wake_.notify_one();
}

void Worker::loop() noexcept {
  const TeamLeader leader;
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return is_ending_ || is_closing_ || !tasks_.empty(); });
      if (is_ending_ || tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

void Worker::shut_down() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
    wake_.notify_one();
  }
  request_stop_();
  if (thread_.joinable()) thread_.join();
  // Now, while the environment still holds the channels of the jobs that never ran.
  tasks_.clear();
}

void export_functions(Napi::Env env, Napi::Object exports,
                      std::initializer_list<std::pair<const char*, WorkerFunction*>> functions) {
  const auto worker = std::make_shared<Worker>(env);
  for (const auto& [name, function] : functions) {
    exports.Set(name, promising(env, [worker, function = function](const Napi::CallbackInfo& info) {
                  return function(*worker, info);
                }));
  }
}

}  // namespace distill::node
