#include "network/narrow_product.hpp"

#include <omp.h>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>

namespace train {
namespace {

using dnnl::memory;

memory::data_type type_of(xbn::DataType type) {
  switch (type) {
    case xbn::DataType::f32:
      return memory::data_type::f32;
    case xbn::DataType::bf16:
      return memory::data_type::bf16;
    case xbn::DataType::s8:
      return memory::data_type::s8;
    case xbn::DataType::u8:
      return memory::data_type::u8;
    default:
      throw NoSuchProduct("type: must be f32, bf16, s8 or u8; was " + std::string(xbn::name(type)));
  }
}

dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, const memory::desc& x, const memory::desc& weights,
                                      const memory::desc& y) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, x, weights, y};
#else
  return {dnnl::matmul::desc(x, weights, y), engine};
#endif
}

}  // namespace

struct NarrowProduct::Implementation {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  memory x{}, weights{}, y{};
  dnnl::matmul product{};
};

NarrowProduct::NarrowProduct(const Sizes& sizes, const Types& types, const void* weights)
    : implementation_(std::make_unique<Implementation>()) {
  Implementation& all = *implementation_;
  using Format = memory::format_tag;
  // oneDNN takes the number of OpenMP's threads of the thread that calls it.
  omp_set_num_threads(1);
  try {
    const memory::desc x({sizes.batch, sizes.inputs}, type_of(types.x), Format::ab);
    const memory::desc y({sizes.batch, sizes.outputs}, type_of(types.y), Format::ab);
    const memory::dims of_weights{sizes.inputs, sizes.outputs};
    const auto description = describe(all.engine, x, {of_weights, type_of(types.weights), Format::any}, y);
    all.x = memory(x, all.engine, nullptr);
    all.y = memory(y, all.engine, nullptr);
    all.weights = memory(description.weights_desc(), all.engine);
    memory given({of_weights, type_of(types.weights), Format::ba}, all.engine, const_cast<void*>(weights));
    dnnl::reorder(given, all.weights).execute(all.stream, given, all.weights);
    all.stream.wait();
    all.product = dnnl::matmul(description);
  } catch (const dnnl::error& error) {
    throw NoSuchProduct("oneDNN has no product of " + std::string(xbn::name(types.x)) + " and " +
                        std::string(xbn::name(types.weights)) + " here: " + error.what());
  }
}

NarrowProduct::~NarrowProduct() = default;
NarrowProduct::NarrowProduct(NarrowProduct&&) noexcept = default;
NarrowProduct& NarrowProduct::operator=(NarrowProduct&&) noexcept = default;

void NarrowProduct::operator()(const void* x, void* y) const {
  Implementation& all = *implementation_;
  all.x.set_data_handle(const_cast<void*>(x));
  all.y.set_data_handle(y);
  all.product.execute(all.stream, {{DNNL_ARG_SRC, all.x}, {DNNL_ARG_WEIGHTS, all.weights}, {DNNL_ARG_DST, all.y}});
  all.stream.wait();
}

}  // namespace train
