#include "node/worker.h"

#include <ATen/ATen.h>

#include <set>

#include "core/error.h"

namespace distill::node {

namespace {

// All workers of the process. Never destroyed: a worker may end after this file's own objects.
struct Live {
  std::mutex mutex;
  std::set<Worker*> workers;
};
Live& live() {
  static auto* const live = new Live;
  return *live;
}

}  // namespace

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code, error.what()};
  } catch (const c10::OutOfMemoryError& error) {
    return {"ERR_OUT_OF_MEMORY", "the device is out of memory; lower batchSize or imageSize (" +
                                     std::string(error.what_without_backtrace()) + ")"};
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (what.find("allocate memory") != std::string::npos) {
      return {"ERR_OUT_OF_MEMORY", "out of memory; lower batchSize or imageSize"};
    }
    return {"ERR_LIBTORCH", "LibTorch failed: " + what.substr(0, what.find('\n'))};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "out of memory; lower batchSize, imageSize or cacheMemory"};
  } catch (const std::exception& error) {
    return {"ERR_INTERNAL", error.what()};
  } catch (...) {
    return {"ERR_INTERNAL", "an unknown failure in the addon"};
  }
}

Napi::Error to_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, failure.code));
  return error;
}

Channel::Channel(Napi::Env env, Napi::Function callback)
    : queue_(Queue::New(env, callback, "node-distill", /*maxQueueSize=*/0, /*threads=*/1)) {}

Channel::~Channel() {
  queue_.Release();
}

void Channel::send(Message message) {
  auto* queued = new Message(std::move(message));
  // Refused only when the environment is ending, and then nobody waits for the message.
  if (queue_.NonBlockingCall(queued) != napi_ok) delete queued;
}

void Channel::receive(Napi::Env env, Napi::Function callback, std::nullptr_t*, Message* message) {
  const std::unique_ptr<Message> owned(message);
  if (env != nullptr && !callback.IsEmpty()) (*owned)(env, callback);
}

Worker::Job::Job(Napi::Env env, const std::vector<Napi::Object>& objects) : deferred(env) {
  for (const Napi::Object& object : objects) kept.push_back(Napi::Persistent(object));
}

Worker::Job::~Job() {
  // Left over only when the environment has ended, which took the references with it.
  for (Napi::ObjectReference& reference : kept) reference.SuppressDestruct();
}

void Worker::Job::settle(Napi::Env env, const std::function<void()>& settle_promise) {
  const Napi::HandleScope scope(env);
  kept.clear();
  settle_promise();
}

Worker::Worker(Napi::Env env, std::function<void()> request_stop)
    : env_(env), request_stop_(std::move(request_stop)) {
  napi_add_env_cleanup_hook(env_, on_environment_end, this);
  const std::lock_guard lock(live().mutex);
  live().workers.insert(this);
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

void Worker::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  tasks_.push_back(std::move(task));
  if (!thread_.joinable()) thread_ = std::thread([this] { loop(); });
  wake_.notify_one();
}

void Worker::loop() {
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
      if (ending_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

void Worker::shut_down() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    wake_.notify_one();
  }
  request_stop_();
  if (thread_.joinable()) thread_.join();
  // Now, while the environment still holds the channels of the jobs that never ran.
  tasks_.clear();
}

}  // namespace distill::node
