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

memory::data_type data_type_of(xbn::DataType type) {
  switch (type) {
    case xbn::DataType::f32:
      return memory::data_type::f32;
    case xbn::DataType::bf16:
      return memory::data_type::bf16;
    case xbn::DataType::f16:
      return memory::data_type::f16;
    case xbn::DataType::s8:
      return memory::data_type::s8;
    case xbn::DataType::u8:
      return memory::data_type::u8;
    case xbn::DataType::f64:
      break;
  }
#if DNNL_VERSION_MAJOR >= 3
  return memory::data_type::f64;
#else
  throw Unimplemented("oneDNN has no f64");
#endif
}

memory::desc tensor_desc(const Case& test_case, xbn::DataType type) {
  const Shape& shape = test_case.shape;
  memory::dims dims{shape.batch, shape.channels};
  if (shape.rank >= 5) dims.push_back(shape.depth);
  if (shape.rank >= 4) dims.push_back(shape.height);
  if (shape.rank >= 3) dims.push_back(shape.width);

  using Format = memory::format_tag;
  if (shape.rank == 2) return {dims, data_type_of(type), Format::nc};
  const Format formats[3][4] = {{Format::ncw, Format::nwc, Format::nCw8c, Format::nCw16c},
                                {Format::nchw, Format::nhwc, Format::nChw8c, Format::nChw16c},
                                {Format::ncdhw, Format::ndhwc, Format::nCdhw8c, Format::nCdhw16c}};
  return {dims, data_type_of(type), formats[shape.rank - 3][static_cast<int>(test_case.tag)]};
}

NormalizationFlags flags_of(const Case& test_case) {
  NormalizationFlags flags = NormalizationFlags::none;
  if (test_case.flags.given_statistics) flags = flags | NormalizationFlags::use_global_stats;
  if (test_case.flags.gamma) flags = flags | NormalizationFlags::use_scale;
  if (test_case.flags.beta) flags = flags | NormalizationFlags::use_shift;
  if (test_case.flags.relu) flags = flags | NormalizationFlags::fuse_norm_relu;
#if DNNL_VERSION_MAJOR >= 3
  if (test_case.flags.add_relu) flags = flags | NormalizationFlags::fuse_norm_add_relu;
#else
  if (test_case.flags.add_relu) throw Unimplemented("oneDNN 2 adds no residual");
#endif
  return flags;
}

dnnl::primitive_attr attributes_of(const Case& test_case) {
  dnnl::primitive_attr attributes;
  if (test_case.post_op.kind == xbn::ActivationKind::none) return attributes;
  using dnnl::algorithm;
  algorithm operation = algorithm::eltwise_relu;
  float alpha = 0, beta = 0;
  switch (test_case.post_op.kind) {
    case xbn::ActivationKind::leaky_relu:
      alpha = test_case.post_op.parameter;
      break;
    case xbn::ActivationKind::clipped_relu:
      operation = algorithm::eltwise_clip;
      beta = test_case.post_op.parameter;
      break;
    case xbn::ActivationKind::sigmoid:
      operation = algorithm::eltwise_logistic;
      break;
    case xbn::ActivationKind::tanh:
      operation = algorithm::eltwise_tanh;
      break;
    case xbn::ActivationKind::silu:
      operation = algorithm::eltwise_swish;
      alpha = 1;
      break;
    default:
      break;
  }
  dnnl::post_ops operations;
#if DNNL_VERSION_MAJOR >= 3
  operations.append_eltwise(operation, alpha, beta);
#else
  operations.append_eltwise(1, operation, alpha, beta);
#endif
  attributes.set_post_ops(operations);
  return attributes;
}

#if DNNL_VERSION_MAJOR >= 3
Forward::primitive_desc forward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  return {engine,
          kind,
          tensor_desc(test_case, test_case.types.source),
          tensor_desc(test_case, test_case.types.destination),
          static_cast<float>(test_case.shape.epsilon),
          flags_of(test_case),
          attributes_of(test_case)};
}

Backward::primitive_desc backward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  const memory::desc source = tensor_desc(test_case, test_case.types.source);
  return {engine,
          kind,
          source,
          tensor_desc(test_case, test_case.types.destination),
          source,
          static_cast<float>(test_case.shape.epsilon),
          flags_of(test_case),
          forward_desc(test_case, dnnl::prop_kind::forward_training, engine),
          attributes_of(test_case)};
}
#else
memory::desc only_desc(const Case& test_case) {
  if (test_case.types.source != test_case.types.destination) throw Unimplemented("oneDNN 2 has one type");
  return tensor_desc(test_case, test_case.types.source);
}

Forward::primitive_desc forward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  const Forward::desc desc(kind, only_desc(test_case), static_cast<float>(test_case.shape.epsilon),
                           flags_of(test_case));
  return {desc, attributes_of(test_case), engine};
}

Backward::primitive_desc backward_desc(const Case& test_case, dnnl::prop_kind kind, const dnnl::engine& engine) {
  const memory::desc tensor = only_desc(test_case);
  const Backward::desc desc(kind, tensor, tensor, static_cast<float>(test_case.shape.epsilon), flags_of(test_case));
  return {desc, attributes_of(test_case), engine, forward_desc(test_case, dnnl::prop_kind::forward_training, engine)};
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
  /// A primitive and what it works on.
  struct Call {
    dnnl::primitive primitive;
    std::vector<dnnl_exec_arg_t> args;
  };

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::string implementation;
  std::vector<memory> memories;
  memory workspace;
  Call measured;
  Call forward;  ///< in backward with a mask

  void bind(Call& call, int argument, const memory::desc& desc, const Tensor& tensor) {
    memories.emplace_back(desc, engine, tensor.data);
    call.args.push_back({argument, memories.back().get()});
  }

  void run(const Call& call) {
    const dnnl_status_t status = dnnl_primitive_execute(call.primitive.get(), stream.get(),
                                                        static_cast<int>(call.args.size()), call.args.data());
    if (status != dnnl_success) throw std::runtime_error("oneDNN: status " + std::to_string(status));
    stream.wait();
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

  void bind_forward(Call& call, const Forward::primitive_desc& desc, const Case& test_case, const Tensors& tensors) {
    const bool given = test_case.flags.given_statistics;
    call.primitive = Forward(desc);
    bind(call, DNNL_ARG_SRC, desc.src_desc(), tensors.x);
    bind(call, DNNL_ARG_DST, desc.dst_desc(), tensors.y);
    bind(call, DNNL_ARG_MEAN, desc.mean_desc(), given ? tensors.mean : tensors.out_mean);
    bind(call, DNNL_ARG_VARIANCE, desc.variance_desc(), given ? tensors.variance : tensors.out_variance);
    if (test_case.flags.gamma) bind(call, DNNL_ARG_SCALE, desc.mean_desc(), tensors.gamma);
    if (test_case.flags.beta) bind(call, DNNL_ARG_SHIFT, desc.mean_desc(), tensors.beta);
    bind_fusions(call, desc.workspace_desc(), desc.dst_desc(), test_case, tensors);
  }

  void bind_fusions(Call& call, const memory::desc& workspace_desc, const memory::desc& residual_desc,
                    const Case& test_case, const Tensors& tensors) {
    if (test_case.has_mask()) {
      if (!workspace) workspace = memory(workspace_desc, engine);
      call.args.push_back({DNNL_ARG_WORKSPACE, workspace.get()});
    }
    if (test_case.flags.add_relu) bind(call, DNNL_ARG_SRC_1, residual_desc, tensors.residual);
  }

  void create_forward(const Case& test_case, const Tensors& tensors) {
    const auto kind = test_case.direction == Direction::fwd_i ? dnnl::prop_kind::forward_inference
                                                              : dnnl::prop_kind::forward_training;
    const Forward::primitive_desc desc = forward_desc(test_case, kind, engine);
    implementation = desc.impl_info_str();
    bind_forward(measured, desc, test_case, tensors);
  }

  void create_backward(const Case& test_case, const Tensors& tensors) {
    const Backward::primitive_desc desc = backward_desc_for(test_case);
    if (test_case.has_mask()) {
      bind_forward(forward, forward_desc(test_case, dnnl::prop_kind::forward_training, engine), test_case, tensors);
    }
    measured.primitive = Backward(desc);
    bind(measured, DNNL_ARG_SRC, desc.src_desc(), tensors.x);
    bind(measured, DNNL_ARG_DIFF_DST, desc.diff_dst_desc(), tensors.dy);
    bind(measured, DNNL_ARG_DIFF_SRC, desc.diff_src_desc(), tensors.dx);
    bind(measured, DNNL_ARG_MEAN, desc.mean_desc(), tensors.mean);
    bind(measured, DNNL_ARG_VARIANCE, desc.variance_desc(), tensors.variance);
    if (test_case.flags.gamma) bind(measured, DNNL_ARG_SCALE, desc.mean_desc(), tensors.gamma);
    if (test_case.has_mask()) measured.args.push_back({DNNL_ARG_WORKSPACE, workspace.get()});
    // Versions differ in whether backward takes the shift, and whether backward_data takes the parameters' gradients.
    const bool takes_shift =
        test_case.flags.beta && count(desc, dnnl_query_num_of_inputs_s32) > static_cast<int>(measured.args.size()) - 1;
    if (takes_shift) bind(measured, DNNL_ARG_SHIFT, desc.mean_desc(), tensors.beta);
    if (test_case.flags.add_relu) bind(measured, DNNL_ARG_DIFF_SRC_1, desc.diff_dst_desc(), tensors.d_residual);
    if (count(desc, dnnl_query_num_of_outputs_s32) == (test_case.flags.add_relu ? 2 : 1)) return;
    if (test_case.flags.gamma) bind(measured, DNNL_ARG_DIFF_SCALE, desc.mean_desc(), tensors.dgamma);
    if (test_case.flags.beta) bind(measured, DNNL_ARG_DIFF_SHIFT, desc.mean_desc(), tensors.dbeta);
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
    if (error.status == dnnl_unimplemented) throw Unimplemented(error.what());
    throw std::runtime_error(std::string("oneDNN: ") + error.what() + ", status " + std::to_string(error.status));
  }
}

OneDnnContender::~OneDnnContender() = default;

void OneDnnContender::write_mask() { primitive_->run(primitive_->forward); }

void OneDnnContender::run() { primitive_->run(primitive_->measured); }

const std::string& OneDnnContender::implementation() const { return primitive_->implementation; }

}  // namespace bench
