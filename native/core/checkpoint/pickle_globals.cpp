#include "core/checkpoint/pickle_globals.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

namespace distill {
namespace {

constexpr std::string_view data_globals[] = {
    "collections.OrderedDict",
    "collections.defaultdict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.ByteStorage",
    "torch.CharStorage",
    "torch.ShortStorage",
    "torch.IntStorage",
    "torch.LongStorage",
    "torch.BoolStorage",
    "torch.ComplexFloatStorage",
    "torch.ComplexDoubleStorage",
    "torch.QUInt8Storage",
    "torch.QInt8Storage",
    "torch.QInt32Storage",
    "torch.storage.UntypedStorage",
    "torch.Size",
    "_codecs.encode",  // bytes, as Python 3 writes them at protocol 2
    // What makes an instance of a class as NEWOBJ does, gets a member of a class, and unites types
    // (int | None): with these arguments alone.
    "copyreg._reconstructor",
    "copyreg.__newobj__",
    "builtins.getattr",
    "functools.reduce",
};

// Of a prefix that ends in a dot, all names; of others, this one.
constexpr std::string_view inert_globals[] = {
    "argparse.Namespace",
    "builtins.Ellipsis",
    "builtins.NoneType",
    "builtins.bool",
    "builtins.bytearray",
    "builtins.bytes",
    "builtins.complex",
    "builtins.dict",
    "builtins.float",
    "builtins.frozenset",
    "builtins.int",
    "builtins.list",
    "builtins.object",
    "builtins.range",
    "builtins.set",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "builtins.type",
    "collections.ChainMap",
    "collections.Counter",
    "collections.UserDict",
    "collections.UserList",
    "collections.deque",
    "datetime.",
    "decimal.",
    "fractions.",
    "functools.partial",  // what it would call is named as well, and judged by its own name
    "ipaddress.",
    "logging.getLogger",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy._core.numeric._frombuffer",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "numpy.dtypes.",
    "numpy.ndarray",
    "numpy.random.",
    "operator.attrgetter",
    "operator.getitem",  // typing.Optional[int] is getitem(Union, (int, None))
    "operator.itemgetter",
    "operator.or_",
    "pandas._libs.",
    "pathlib.",
    "random.Random",
    "re._compile",
    "time.struct_time",
    "torch.Tensor",
    "torch._utils._rebuild_",  // tensors that are not dense, which no network here has
    "torch.device",
    "torch.per_channel_affine",
    "torch.per_channel_symmetric",
    "torch.per_tensor_affine",
    "torch.per_tensor_symmetric",
    "torch.serialization._get_layout",
    "types.GenericAlias",
    "types.MappingProxyType",
    "types.SimpleNamespace",
    "typing.",
    "uuid.",
    "zoneinfo.",
};

// Parts of torch that may be named, and of whose classes there may be instances.
constexpr std::string_view torch_globals[] = {
    "torch._C._nn.",          "torch.amp.",          "torch.cuda.amp.", "torch.nn.functional.",
    "torch.nn.modules.loss.", "torch.nn.parameter.", "torch.optim.",    "torch.torch_version.",
    "torch.utils.data.",
};

// Modules, with all below them, that run code, load it, or reach files and the network; and
// libraries that are made for that.
constexpr std::string_view refused_modules[] = {
    "__main__.__builtins__",
    "_io",
    "_posixsubprocess",
    "_thread",
    "_xxsubinterpreters",
    "BaseHTTPServer",
    "SocketServer",
    "aiohttp",
    "antigravity",
    "ast",
    "asyncio",
    "atexit",
    "bdb",
    "builtins",
    "cPickle",
    "cProfile",
    "cffi",
    "cgi",
    "cgitb",
    "cloudpickle",
    "code",
    "codecs",
    "codeop",
    "compileall",
    "concurrent",
    "ctypes",
    "curses",
    "dbm",
    "dill",
    "distutils",
    "docker",
    "doctest",
    "ensurepip",
    "fabric",
    "faulthandler",
    "fileinput",
    "fsspec",
    "ftplib",
    "functools",
    "gc",
    "getpass",
    "git",
    "glob",
    "gzip",
    "http",
    "httplib",
    "httpx",
    "idlelib",
    "imaplib",
    "imp",
    "importlib",
    "inspect",
    "io",
    "joblib",
    "lib2to3",
    "linecache",
    "logging",
    "mailbox",
    "marshal",
    "mmap",
    "modulefinder",
    "multiprocessing",
    "nntplib",
    "nt",
    "numpy",
    "operator",
    "os",
    "paramiko",
    "pdb",
    "pexpect",
    "pickle",
    "pickletools",
    "pip",
    "pipes",
    "pkg_resources",
    "pkgutil",
    "platform",
    "plumbum",
    "popen2",
    "poplib",
    "posix",
    "posixpath",
    "psutil",
    "pstats",
    "pty",
    "py_compile",
    "pydoc",
    "readline",
    "requests",
    "rlcompleter",
    "runpy",
    "sched",
    "selectors",
    "setuptools",
    "sh",
    "shelve",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "sys",
    "sysconfig",
    "tarfile",
    "telnetlib",
    "tempfile",
    "thread",
    "threading",
    "timeit",
    "tkinter",
    "torch",
    "tracemalloc",
    "turtle",
    "types",
    "unittest",
    "urllib",
    "urllib2",
    "urllib3",
    "venv",
    "webbrowser",
    "winreg",
    "wsgiref",
    "xml",
    "xmlrpc",
    "xmlrpclib",
    "zipapp",
    "zipfile",
    "zipimport",
};

bool matches(std::string_view name, std::string_view pattern) {
  const char last = pattern.back();
  return last == '.' || last == '_' ? name.starts_with(pattern) : name == pattern;
}

template <size_t N>
bool is_among(std::string_view name, const std::string_view (&patterns)[N]) {
  return std::any_of(std::begin(patterns), std::end(patterns),
                     [&](std::string_view pattern) { return matches(name, pattern); });
}

bool is_in_module(std::string_view name, std::string_view module) {
  return name.starts_with(module) && name.size() > module.size() && name[module.size()] == '.';
}

// torch.float32, torch.uint8, torch.strided: names of numbers' and memory's formats.
bool is_torch_format(std::string_view name) {
  static constexpr std::string_view kinds[] = {"float",   "bfloat", "int",     "uint",
                                               "complex", "bool",   "half",    "double",
                                               "quint",   "qint",   "strided", "sparse_coo"};
  if (!name.starts_with("torch.")) return false;
  name.remove_prefix(6);
  return std::any_of(std::begin(kinds), std::end(kinds), [&](std::string_view kind) {
    return name.starts_with(kind) &&
           std::all_of(name.begin() + static_cast<ptrdiff_t>(kind.size()), name.end(),
                       [](unsigned char c) { return std::isdigit(c) || c == '_' || c == 'x'; });
  });
}

// numpy.float32 and its kin as classes.
bool is_numpy_number(std::string_view name) {
  static constexpr std::string_view kinds[] = {"float",   "int",  "uint",  "bool",
                                               "complex", "str_", "bytes_"};
  if (!name.starts_with("numpy.")) return false;
  name.remove_prefix(6);
  return std::any_of(std::begin(kinds), std::end(kinds), [&](std::string_view kind) {
    return name.starts_with(kind) &&
           std::all_of(name.begin() + static_cast<ptrdiff_t>(kind.size()), name.end(),
                       [](unsigned char c) { return std::isdigit(c) || c == '_'; });
  });
}

bool is_exception(std::string_view name) {
  return name.starts_with("builtins.") &&
         (name.ends_with("Error") || name.ends_with("Exception") || name.ends_with("Warning"));
}

}  // namespace

Global kind_of_global(std::string_view name) {
  if (std::find(std::begin(data_globals), std::end(data_globals), name) != std::end(data_globals)) {
    return Global::data;
  }
  if (is_among(name, inert_globals) || is_torch_format(name) || is_numpy_number(name) ||
      is_exception(name)) {
    return Global::inert;
  }
  if (is_among(name, torch_globals)) return Global::other;
  if (name.starts_with("torch.nn.")) return Global::layer;
  const bool is_refused =
      std::any_of(std::begin(refused_modules), std::end(refused_modules),
                  [&](std::string_view module) { return is_in_module(name, module); });
  return is_refused ? Global::refused : Global::other;
}

std::string modern_global_name(std::string_view module, std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> modules[] = {
      {"__builtin__", "builtins"},   {"exceptions", "builtins"},
      {"copy_reg", "copyreg"},       {"commands", "subprocess"},
      {"_operator", "operator"},     {"UserDict", "collections"},
      {"UserList", "collections"},   {"_collections", "collections"},
      {"_functools", "functools"},   {"_io", "io"},
      {"pathlib._local", "pathlib"},  // Python 3.13's
  };
  static constexpr std::pair<std::string_view, std::string_view> names[] = {
      {"builtins.long", "builtins.int"},
      {"builtins.unicode", "builtins.str"},
      {"builtins.xrange", "builtins.range"},
      {"builtins.reduce", "functools.reduce"},
  };
  for (const auto& [old_name, new_name] : modules) {
    if (module == old_name) module = new_name;
  }
  auto full = std::string(module) + "." + std::string(name);
  for (const auto& [old_name, new_name] : names) {
    if (full == old_name) full = new_name;
  }
  return full;
}

bool may_be_enumeration(std::string_view name) {
  if (name.starts_with("torchvision.models.") || name.starts_with("timm.models.")) return false;
  const auto dot = name.rfind('.');
  return dot != std::string_view::npos && dot + 1 < name.size() &&
         std::isupper(static_cast<unsigned char>(name[dot + 1]));
}

}  // namespace distill
