#include "core/graph/bind.h"

#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>
#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <stdexcept>

#include "core/checkpoint/exported_dtype.h"
#include "core/checkpoint/text.h"

namespace distill {
namespace {

using Kind = GraphArgument::Kind;

// Numbers of torch.export's schema for the layout and the memory formats of dense tensors.
constexpr int64_t strided = 7;

std::optional<at::MemoryFormat> memory_format_of(int64_t number) {
  switch (number) {
    case 1:
      return at::MemoryFormat::Contiguous;
    case 2:
      return at::MemoryFormat::ChannelsLast;
    case 4:
      return at::MemoryFormat::Preserve;
    default:
      return std::nullopt;
  }
}

// Weights are read as float32, whatever the file's type; so is what a graph makes by itself.
at::ScalarType computed_dtype(at::ScalarType dtype) {
  return at::isFloatingType(dtype) ? at::kFloat : dtype;
}

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what);
}

class Binder {
 public:
  Binder(const c10::Argument& formal, const FindValue& find) : formal_(formal), find_(find) {}

  Operand bind(const GraphArgument& argument) { return bind(argument, formal_.type()); }

 private:
  [[noreturn]] void refuse_type() const {
    refuse("its argument '" + formal_.name() + "' is no " + formal_.type()->str());
  }

  static Operand literal(c10::IValue value) {
    Operand operand;
    operand.literal = std::move(value);
    return operand;
  }

  Operand value(const GraphArgument& argument, bool is_tensor) const {
    Operand operand;
    operand.value = find_(argument.text, is_tensor);
    return operand;
  }

  Operand bind(const GraphArgument& argument, const c10::TypePtr& type) {
    switch (type->kind()) {
      case c10::TypeKind::OptionalType:
        if (argument.kind == Kind::none) return literal({});
        return bind(argument, type->castRaw<c10::OptionalType>()->getElementType());
      case c10::TypeKind::TensorType:
        if (argument.kind == Kind::value) return value(argument, /*is_tensor=*/true);
        return number_tensor(argument);
      case c10::TypeKind::IntType:
        return whole_number(argument);
      case c10::TypeKind::FloatType:
      case c10::TypeKind::NumberType:
        return number(argument, type->kind() == c10::TypeKind::FloatType);
      case c10::TypeKind::BoolType:
        if (argument.kind == Kind::value) return value(argument, /*is_tensor=*/false);
        if (argument.kind != Kind::boolean) refuse_type();
        return literal(argument.integer != 0);
      case c10::TypeKind::StringType:
        if (argument.kind != Kind::text) refuse_type();
        return literal(argument.text);
      case c10::TypeKind::DeviceObjType: {
        if (argument.kind != Kind::device) refuse_type();
        Operand operand;
        operand.is_device = true;
        return operand;
      }
      case c10::TypeKind::ListType:
        return list(argument, type->castRaw<c10::ListType>()->getElementType());
      default:
        refuse_type();
    }
  }

  // Types, layouts and memory formats are whole numbers to the dispatcher, which takes any. Nothing
  // else must come in their place.
  Kind kind_of_number() const {
    c10::TypePtr type = formal_.real_type();
    if (type->kind() == c10::TypeKind::OptionalType) {
      type = type->castRaw<c10::OptionalType>()->getElementType();
    }
    switch (type->kind()) {
      case c10::TypeKind::ScalarTypeType:
        return Kind::dtype;
      case c10::TypeKind::LayoutType:
        return Kind::layout;
      case c10::TypeKind::MemoryFormatType:
        return Kind::memory_format;
      default:
        return Kind::integer;
    }
  }

  Operand whole_number(const GraphArgument& argument) {
    const bool is_number = argument.kind == Kind::integer || argument.kind == Kind::boolean ||
                           argument.kind == Kind::value;
    if (kind_of_number() != (is_number ? Kind::integer : argument.kind)) refuse_type();
    switch (argument.kind) {
      case Kind::value:
        return value(argument, /*is_tensor=*/false);
      case Kind::integer:
      case Kind::boolean:
        return literal(argument.integer);
      case Kind::dtype: {
        const auto dtype = exported_dtype(argument.integer);
        if (!dtype) refuse("its argument '" + formal_.name() + "' is a type that is not supported");
        return literal(static_cast<int64_t>(computed_dtype(*dtype)));
      }
      case Kind::layout:
        if (argument.integer != strided) refuse("it asks for another layout than a dense one");
        return literal(static_cast<int64_t>(at::kStrided));
      case Kind::memory_format: {
        const auto format = memory_format_of(argument.integer);
        if (!format) refuse("it asks for an unknown memory format");
        return literal(static_cast<int64_t>(*format));
      }
      default:
        refuse_type();
    }
  }

  Operand number(const GraphArgument& argument, bool is_float) {
    switch (argument.kind) {
      case Kind::value:
        return value(argument, /*is_tensor=*/false);
      case Kind::number:
        return literal(argument.number);
      case Kind::integer:
        return is_float ? literal(static_cast<double>(argument.integer))
                        : literal(argument.integer);
      case Kind::boolean:
        if (is_float) refuse_type();
        return literal(argument.integer != 0);
      default:
        refuse_type();
    }
  }

  // A number in a tensor's place, which does not decide the result's type.
  Operand number_tensor(const GraphArgument& argument) {
    const bool is_float = argument.kind == Kind::number;
    if (!is_float && argument.kind != Kind::integer && argument.kind != Kind::boolean) {
      refuse_type();
    }
    const at::Scalar number = is_float ? at::Scalar(argument.number) : at::Scalar(argument.integer);
    at::Tensor tensor = at::scalar_tensor(number, is_float ? at::kDouble : at::kLong);
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    return literal(tensor);
  }

  Operand list(const GraphArgument& argument, const c10::TypePtr& item) {
    std::vector<Operand> items;
    if (argument.kind == Kind::list) {
      for (const GraphArgument& each : argument.items) items.push_back(bind(each, item));
    } else if (formal_.N()) {  // such as int[2] from one number
      items.assign(*formal_.N(), bind(argument, item));
    } else {
      refuse_type();
    }
    Operand operand;
    const bool is_literal = std::none_of(items.begin(), items.end(),
                                         [](const Operand& each) { return each.is_value(); });
    if (!is_literal) {
      operand.items = std::move(items);
      operand.item_type = item;
      return operand;
    }
    c10::impl::GenericList values(item);
    for (const Operand& each : items) values.push_back(each.literal);
    operand.literal = c10::IValue(values);
    return operand;
  }

  const c10::Argument& formal_;
  const FindValue& find_;
};

}  // namespace

std::vector<Operand> bind_arguments(
    const std::vector<std::pair<std::string, GraphArgument>>& arguments,
    const c10::FunctionSchema& schema, const FindValue& find) {
  for (const auto& [name, argument] : arguments) {
    if (!schema.argumentIndexWithName(name)) refuse("it has no argument '" + printable(name) + "'");
  }
  std::vector<Operand> operands;
  for (const c10::Argument& formal : schema.arguments()) {
    const auto given = std::find_if(arguments.begin(), arguments.end(), [&](const auto& argument) {
      return argument.first == formal.name();
    });
    if (formal.name() == "pin_memory") {  // is not the graph's business
      operands.emplace_back();
    } else if (given != arguments.end()) {
      operands.push_back(Binder(formal, find).bind(given->second));
    } else if (formal.default_value()) {
      operands.emplace_back().literal = *formal.default_value();
    } else if (formal.type()->kind() == c10::TypeKind::OptionalType) {
      operands.emplace_back();
    } else {
      refuse("its argument '" + formal.name() + "' is missing");
    }
  }
  return operands;
}

}  // namespace distill
