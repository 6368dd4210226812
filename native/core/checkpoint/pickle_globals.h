#pragma once

#include <string>
#include <string_view>

namespace distill {

// A pickle names Python objects and asks to call them, or to make instances of them. Nothing that
// it names is imported here and nothing is called: all of it becomes plain data. A name is refused
// for the sake of whoever reads the message: a file that asks for code has something to hide.
enum class Global {
  // One of the few that tensors and NumPy's numbers are made of: a call of it is kept as data.
  data,
  // A type without effects, which training programs leave beside the weights, such as
  // argparse.Namespace or datetime.date: a call of it is passed over.
  inert,
  // Any other class or function of a program or a library: it may be named, and a plain instance of
  // it with attributes is passed over. A call of it is refused.
  other,
  // A class of torch.nn: it may be named. An instance of it is a whole module, which is refused.
  layer,
  // What runs code, opens files or connections: it is refused even where it is only named.
  refused,
};

// The kind of a name such as "collections.OrderedDict". It is one of today's Python
// (modern_global_name()).
Global kind_of_global(std::string_view name);

// The name of module and object in Python 3 where they are Python 2's, as which they are pickled up
// to protocol 2: '__builtin__', 'xrange' is "builtins.range".
std::string modern_global_name(std::string_view module, std::string_view name);

// Tells whether a call of another global with one plain value may be a member of an enumeration,
// which is pickled as its class, called with its value. Such a class has a capital letter and is
// not one of the networks of a library.
bool may_be_enumeration(std::string_view name);

}  // namespace distill
