#include "onednn.hpp"

#include <oneapi/dnnl/dnnl.hpp>
#include <stdexcept>
#include <vector>

namespace bench {
namespace {

using dnnl::memory;
using Forward = dnnl::batch_normalization_forward;
using Backward = dnnl::batch_normalization_backward;
using NormalizationFlags = dnnl::normalization_flags;

memory::desc tensor_desc(const Case& test_case) {
  const Shape& shape = test_case.shape;
  memory::dims dims{shape.batch, shape.channels};
  if (shape.rank >= 5) dims.push_back(shape.depth);
  if (shape.rank >= 4) dims.push_back(shape.height);
  if (shape.rank >= 3) dims.push_back(shape.width);

  using Format = memory::format_tag;
  if (shape.rank == 2) return {dims, memory::data_type::f32, Format::nc};
  const Format formats[3][4] = {{Format::ncw, Format::nwc, Format::nCw8c, Format::nCw16c},
                                {Format::nchw, Format::nhwc, Format::nChw8c, Format::nChw16c},
                                {Format::ncdhw, Format::ndhwc, Format::nCdhw8c, Format::nCdhw16c}};
  return {dims, memory::data_type::f32, formats[shape.rank - 3][static_cast<int>(test_case.tag)]};
}

NormalizationFlags flags_of(const Case& test_case) {
  NormalizationFlags flags = NormalizationFlags::none;
  if (test_case.flags.given_statistics) flags = flags | NormalizationFlags::use_global_stats;
  if (test_case.flags.gamma) flags = flags | NormalizationFlags::use_scale;
  if (test_case.flags.beta) flags = flags | NormalizationFlags::use_shift;
  return flags;
}

#if DNNL_VERSION_MAJOR >= 3
Forward::primitive_desc forward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  const memory::desc tensor = tensor_desc(test_case);
  return {engine, kind, tensor, tensor, static_cast<float>(test_case.shape.epsilon), flags_of(test_case)};
}

Backward::primitive_desc backward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  const memory::desc tensor = tensor_desc(test_case);
  return {engine,
          kind,
          tensor,
          tensor,
          tensor,
          static_cast<float>(test_case.shape.epsilon),
          flags_of(test_case),
          forward_desc(test_case, dnnl::prop_kind::forward_training, engine)};
}
#else
Forward::primitive_desc forward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  const Forward::desc desc(kind, tensor_desc(test_case), static_cast<float>(test_case.shape.epsilon),
                           flags_of(test_case));
  return {desc, engine};
}

Backward::primitive_desc backward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  const memory::desc tensor = tensor_desc(test_case);
  const Backward::desc desc(kind, tensor, tensor, static_cast<float>(test_case.shape.epsilon), flags_of(test_case));
  return {desc, engine, forward_desc(test_case, dnnl::prop_kind::forward_training, engine)};
}
#endif

std::string_view runtime_name(unsigned runtime) {
  switch (runtime) {
    case DNNL_RUNTIME_SEQ:
      return "sequential";
    case DNNL_RUNTIME_OMP:
      return "OpenMP";
    case DNNL_RUNTIME_TBB:
      return "TBB";
    default:
      return "other threads";
  }
}

}  // namespace

struct OneDnnContender::Primitive {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::primitive primitive;
  std::string implementation;
  std::vector<memory> memories;
  std::vector<dnnl_exec_arg_t> args;

  void bind(int argument, const memory::desc& desc, float* data) {
    memories.emplace_back(desc, engine, data);
    args.push_back({argument, memories.back().get()});
  }

  /// oneDNN 2.6 has no backward_data with gamma or beta: there their gradients come along.
  Backward::primitive_desc backward_desc_for(const Case& test_case) {
    if (test_case.direction == Direction::bwd_d) {
      try {
        Backward::primitive_desc desc = backward_desc(test_case, dnnl::prop_kind::backward_data, engine);
        implementation = desc.impl_info_str();
        return desc;
      } catch (const dnnl::error&) {
      }
    }
    Backward::primitive_desc desc = backward_desc(test_case, dnnl::prop_kind::backward, engine);
    implementation = desc.impl_info_str();
    if (test_case.direction == Direction::bwd_d) implementation += " as BWD_DW";
    return desc;
  }

  static int count(const dnnl::primitive_desc& desc, dnnl_query_t query) {
    int number = 0;
    dnnl_primitive_desc_query(desc.get(), query, 0, &number);
    return number;
  }

  void create_forward(const Case& test_case, const Tensors& tensors) {
    const auto kind = test_case.direction == Direction::fwd_i ? dnnl::prop_kind::forward_inference
                                                              : dnnl::prop_kind::forward_training;
    const Forward::primitive_desc desc = forward_desc(test_case, kind, engine);
    primitive = Forward(desc);
    implementation = desc.impl_info_str();
    bind(DNNL_ARG_SRC, desc.src_desc(), tensors.x);
    bind(DNNL_ARG_DST, desc.dst_desc(), tensors.out);
    bind(DNNL_ARG_MEAN, desc.mean_desc(), test_case.computes_statistics() ? tensors.out_mean : tensors.mean);
    bind(DNNL_ARG_VARIANCE, desc.variance_desc(),
         test_case.computes_statistics() ? tensors.out_variance : tensors.variance);
    if (test_case.flags.gamma) bind(DNNL_ARG_SCALE, desc.mean_desc(), tensors.gamma);
    if (test_case.flags.beta) bind(DNNL_ARG_SHIFT, desc.mean_desc(), tensors.beta);
  }

  void create_backward(const Case& test_case, const Tensors& tensors) {
    const Backward::primitive_desc desc = backward_desc_for(test_case);
    primitive = Backward(desc);
    bind(DNNL_ARG_SRC, desc.src_desc(), tensors.x);
    bind(DNNL_ARG_DIFF_DST, desc.diff_dst_desc(), tensors.dy);
    bind(DNNL_ARG_DIFF_SRC, desc.diff_src_desc(), tensors.out);
    bind(DNNL_ARG_MEAN, desc.mean_desc(), tensors.mean);
    bind(DNNL_ARG_VARIANCE, desc.variance_desc(), tensors.variance);
    if (test_case.flags.gamma) bind(DNNL_ARG_SCALE, desc.mean_desc(), tensors.gamma);
    // Versions differ in whether backward takes the shift, and whether backward_data takes the parameters' gradients.
    const bool takes_shift =
        test_case.flags.beta && count(desc, dnnl_query_num_of_inputs_s32) > static_cast<int>(args.size()) - 1;
    if (takes_shift) bind(DNNL_ARG_SHIFT, desc.mean_desc(), tensors.beta);
    if (count(desc, dnnl_query_num_of_outputs_s32) == 1) return;
    if (test_case.flags.gamma) bind(DNNL_ARG_DIFF_SCALE, desc.mean_desc(), tensors.dgamma);
    if (test_case.flags.beta) bind(DNNL_ARG_DIFF_SHIFT, desc.mean_desc(), tensors.dbeta);
  }
};

std::string onednn_version() {
  const dnnl_version_t& version = *dnnl_version();
  return std::to_string(version.major) + '.' + std::to_string(version.minor) + '.' + std::to_string(version.patch) +
         ' ' + std::string(runtime_name(version.cpu_runtime));
}

void limit_onednn_isa(xbn::Isa isa) {
  const dnnl::cpu_isa limit = isa == xbn::Isa::sse2   ? dnnl::cpu_isa::sse41
                              : isa == xbn::Isa::avx2 ? dnnl::cpu_isa::avx2
                                                      : dnnl::cpu_isa::avx512_core;
  if (dnnl::set_max_cpu_isa(limit) != dnnl::status::success) {
    throw std::runtime_error("this oneDNN cannot be limited to " + std::string(xbn::name(isa)));
  }
}

OneDnnContender::OneDnnContender(const Case& test_case, const Tensors& tensors)
    : primitive_(std::make_unique<Primitive>()) {
  try {
    if (test_case.backward()) {
      primitive_->create_backward(test_case, tensors);
    } else {
      primitive_->create_forward(test_case, tensors);
    }
  } catch (const dnnl::error& error) {
    throw std::runtime_error(std::string("oneDNN: ") + error.what());
  }
}

OneDnnContender::~OneDnnContender() = default;

void OneDnnContender::run() {
  const dnnl_status_t status =
      dnnl_primitive_execute(primitive_->primitive.get(), primitive_->stream.get(),
                             static_cast<int>(primitive_->args.size()), primitive_->args.data());
  if (status != dnnl_success) throw std::runtime_error("oneDNN: status " + std::to_string(status));
  primitive_->stream.wait();
}

const std::string& OneDnnContender::implementation() const { return primitive_->implementation; }

}  // namespace bench
