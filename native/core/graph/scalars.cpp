#include "core/graph/scalars.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>

#include "core/names.h"

namespace distill {
namespace {

using c10::IValue;
using Arguments = std::vector<IValue>;

[[noreturn]] void refuse(const char* what) {
  throw std::invalid_argument(what);
}

const IValue& at(const Arguments& arguments, size_t i) {
  if (i >= arguments.size()) refuse("an argument is missing");
  return arguments[i];
}

bool is_whole(const IValue& value) {
  return value.isInt() || value.isBool();
}

int64_t whole(const IValue& value) {
  if (value.isInt()) return value.toInt();
  if (value.isBool()) return value.toBool();
  refuse("an argument is no whole number");
}

double real(const IValue& value) {
  return value.isDouble() ? value.toDouble() : static_cast<double>(whole(value));
}

bool truth(const IValue& value) {
  return value.isDouble() ? value.toDouble() != 0 : whole(value) != 0;
}

void refuse_if(bool overflows) {
  if (overflows) refuse("a size is too large");
}

int64_t to_whole(double value) {
  constexpr double most = 9007199254740992;  // 2^53
  if (!(std::abs(value) <= most)) refuse("a size is too large");
  return static_cast<int64_t>(value);
}

// Whole numbers by `Whole`, others by `Real`.
template <int64_t (*Whole)(int64_t, int64_t), double (*Real)(double, double)>
IValue arithmetic(const Arguments& arguments) {
  const IValue &a = at(arguments, 0), &b = at(arguments, 1);
  if (is_whole(a) && is_whole(b)) return Whole(whole(a), whole(b));
  return Real(real(a), real(b));
}

int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  refuse_if(__builtin_add_overflow(a, b, &sum));
  return sum;
}
int64_t subtract(int64_t a, int64_t b) {
  int64_t difference;
  refuse_if(__builtin_sub_overflow(a, b, &difference));
  return difference;
}
int64_t multiply(int64_t a, int64_t b) {
  int64_t product;
  refuse_if(__builtin_mul_overflow(a, b, &product));
  return product;
}
// Rounded down, as Python's.
int64_t divide(int64_t a, int64_t b) {
  if (b == 0) refuse("it divides by 0");
  if (b == -1) return subtract(0, a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}
int64_t modulo(int64_t a, int64_t b) {
  return b == -1 ? 0 : a - divide(a, b) * b;
}
int64_t power(int64_t a, int64_t b) {
  if (b < 0) refuse("a size has a negative exponent");
  if (a == 0 || a == 1) return b == 0 ? 1 : a;
  if (a == -1) return b % 2 == 0 ? 1 : -1;
  int64_t result = 1;
  for (; b > 0; --b) result = multiply(result, a);  // overflows before 64 rounds
  return result;
}
int64_t larger(int64_t a, int64_t b) {
  return std::max(a, b);
}
int64_t smaller(int64_t a, int64_t b) {
  return std::min(a, b);
}

double add(double a, double b) {
  return a + b;
}
double subtract(double a, double b) {
  return a - b;
}
double multiply(double a, double b) {
  return a * b;
}
double divide(double a, double b) {
  return std::floor(a / b);
}
double modulo(double a, double b) {
  return a - std::floor(a / b) * b;
}
double power(double a, double b) {
  return std::pow(a, b);
}
double larger(double a, double b) {
  return std::max(a, b);
}
double smaller(double a, double b) {
  return std::min(a, b);
}

bool equal(double a, double b) {
  return a == b;
}
bool unequal(double a, double b) {
  return a != b;
}
bool less(double a, double b) {
  return a < b;
}
bool at_most(double a, double b) {
  return a <= b;
}
bool greater(double a, double b) {
  return a > b;
}
bool at_least(double a, double b) {
  return a >= b;
}

template <bool (*Compare)(double, double)>
IValue comparison(const Arguments& arguments) {
  return Compare(real(at(arguments, 0)), real(at(arguments, 1)));
}

template <double (*Round)(double)>
IValue rounding(const Arguments& arguments) {
  const IValue& value = at(arguments, 0);
  return is_whole(value) ? whole(value) : to_whole(Round(real(value)));
}

double truncated(double value) {
  return std::trunc(value);
}
double rounded_down(double value) {
  return std::floor(value);
}
double rounded_up(double value) {
  return std::ceil(value);
}

IValue true_divide(const Arguments& arguments) {
  return real(at(arguments, 0)) / real(at(arguments, 1));
}
IValue negate(const Arguments& arguments) {
  const IValue& value = at(arguments, 0);
  if (is_whole(value)) return subtract(int64_t{0}, whole(value));
  return -real(value);
}
IValue same(const Arguments& arguments) {
  return at(arguments, 0);
}
IValue to_float(const Arguments& arguments) {
  return real(at(arguments, 0));
}
IValue square_root(const Arguments& arguments) {
  return std::sqrt(real(at(arguments, 0)));
}
IValue logical_not(const Arguments& arguments) {
  return !truth(at(arguments, 0));
}
IValue logical_and(const Arguments& arguments) {
  return truth(at(arguments, 0)) && truth(at(arguments, 1));
}
IValue logical_or(const Arguments& arguments) {
  return truth(at(arguments, 0)) || truth(at(arguments, 1));
}
IValue choose(const Arguments& arguments) {
  return truth(at(arguments, 0)) ? at(arguments, 1) : at(arguments, 2);
}

IValue size(const Arguments& arguments) {
  if (!at(arguments, 0).isTensor()) refuse("an argument is no tensor");
  return arguments[0].toTensor().size(whole(at(arguments, 1)));
}
IValue numel(const Arguments& arguments) {
  if (!at(arguments, 0).isTensor()) refuse("an argument is no tensor");
  return arguments[0].toTensor().numel();
}

constexpr Named<ScalarFunction*> functions[] = {
    {"sym_size", &size},
    {"sym_numel", &numel},
    {"_operator.add", &arithmetic<add, add>},
    {"_operator.sub", &arithmetic<subtract, subtract>},
    {"_operator.mul", &arithmetic<multiply, multiply>},
    {"_operator.floordiv", &arithmetic<divide, divide>},
    {"_operator.mod", &arithmetic<modulo, modulo>},
    {"_operator.pow", &arithmetic<power, power>},
    {"torch.sym_max", &arithmetic<larger, larger>},
    {"torch.sym_min", &arithmetic<smaller, smaller>},
    {"_operator.truediv", &true_divide},
    {"_operator.neg", &negate},
    {"_operator.pos", &same},
    {"_operator.eq", &comparison<equal>},
    {"_operator.ne", &comparison<unequal>},
    {"_operator.lt", &comparison<less>},
    {"_operator.le", &comparison<at_most>},
    {"_operator.gt", &comparison<greater>},
    {"_operator.ge", &comparison<at_least>},
    {"_operator.and_", &logical_and},
    {"_operator.or_", &logical_or},
    {"math.trunc", &rounding<truncated>},
    {"math.floor", &rounding<rounded_down>},
    {"math.ceil", &rounding<rounded_up>},
    {"torch.sym_int", &rounding<truncated>},
    {"torch.sym_float", &to_float},
    {"torch.sym_not", &logical_not},
    {"torch.sym_ite", &choose},
    {"torch.sym_sqrt", &square_root},
    {"torch._sym_sqrt", &square_root},
};

}  // namespace

ScalarFunction* find_scalar_function(std::string_view name) {
  return find_named(functions, name).value_or(nullptr);
}

}  // namespace distill
