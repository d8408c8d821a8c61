#pragma once

/// Everything public.

#include "xbn/activation.hpp"
#include "xbn/batch_norm.hpp"
#include "xbn/executor.hpp"
#include "xbn/folding.hpp"
#include "xbn/isa.hpp"
#include "xbn/tensor.hpp"
#include "xbn/types.hpp"
