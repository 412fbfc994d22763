"""Operations that cost no MACs by convention: they move, choose, normalise or add up."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

# Names without namespace. Those of what works in place, backwards or on a copy follow from them;
# pointwise operations are known by their tag, views by their schema.
MAKE = """
    _efficientzerotensor _philox_normal _philox_uniform _pin_memory _sample_dirichlet
    _standard_gamma arange bartlett_window bernoulli binomial blackman_window cauchy complex
    empty empty_like empty_permuted empty_strided exponential eye fft_fftfreq fft_rfftfreq
    from_file full full_like geometric hamming_window hann_window kaiser_window lift lift_fresh
    linspace log_normal logspace multinomial native_dropout new_empty new_empty_strided new_full
    new_ones new_zeros normal normal_functional ones ones_like poisson polar rand rand_like
    randint randint_like randn randn_like random randperm range scalar_tensor tril_indices
    triu_indices uniform zero zeros zeros_like
"""
MOVE = """
    _chunk_cat _coalesce _copy_from _index_put_impl _jagged_to_padded_dense_forward _lazy_clone
    _mkldnn_reshape _mkldnn_transpose _pack_padded_sequence _padded_dense_to_jagged_forward
    _resize_output _stack _to_copy _to_dense _unsafe_index _unsafe_index_put
    _unsafe_masked_index _unsafe_masked_index_put_accumulate _unsafe_view as_strided_scatter
    block_diag cat channel_shuffle clone col2im constant_pad_nd copy diag_embed diagonal
    diagonal_scatter embedding embedding_dense embedding_renorm expand fill flip gather im2col
    index index_add index_copy index_fill index_put index_reduce index_select masked_fill
    masked_scatter masked_select max_unpool2d max_unpool3d native_channel_shuffle pixel_shuffle
    pixel_unshuffle put reflection_pad1d reflection_pad2d reflection_pad3d repeat
    repeat_interleave replication_pad1d replication_pad2d replication_pad3d resize resize_as
    roll rot90 scatter scatter_add scatter_reduce select select_scatter set slice slice_scatter
    split_with_sizes_copy stack take to_mkldnn to_padded_tensor tril triu unfold unsafe_chunk
    unsafe_split unsafe_split_with_sizes
"""
CHOOSE = """
    _assert_async _functional_assert_async _functional_assert_scalar
    _functional_sym_constrain_range _functional_sym_constrain_range_for_size
    _histogramdd_bin_edges _histogramdd_from_bin_cts _histogramdd_from_bin_tensors _is_all_true
    _is_any_true _local_scalar_dense _unique _unique2 all any argmax argmin argsort bincount
    bucketize count_nonzero equal hash_tensor histc histogram isin kthvalue masked_select max
    median min mode nanmedian nonzero nonzero_static searchsorted sort sym_constrain_range
    sym_constrain_range_for_size topk unique_consecutive unique_dim unique_dim_consecutive
"""
NORMALISE = """
    _batch_norm_no_update _batch_norm_with_update _batch_norm_with_update_functional
    _fused_rms_norm _log_softmax _masked_softmax _native_batch_norm_legit
    _native_batch_norm_legit_functional _native_batch_norm_legit_no_training _safe_softmax
    _softmax _weight_norm_interface batch_norm_elemt batch_norm_gather_stats
    batch_norm_gather_stats_with_counts batch_norm_stats batch_norm_update_stats
    cudnn_batch_norm miopen_batch_norm native_batch_norm native_group_norm native_layer_norm
    renorm
"""
ADD_UP = """
    _adaptive_avg_pool2d _adaptive_avg_pool3d _aminmax _ctc_loss _embedding_bag
    _embedding_bag_forward_only _logcumsumexp adaptive_max_pool2d adaptive_max_pool3d amax amin
    aminmax avg_pool1d avg_pool2d avg_pool3d cummax cummin cumprod cumsum dist
    fractional_max_pool2d fractional_max_pool3d linalg__powsum linalg_vector_norm logcumsumexp
    logsumexp max_pool2d_with_indices max_pool3d_with_indices mean mkldnn_adaptive_avg_pool2d
    mkldnn_max_pool2d mkldnn_max_pool3d multi_margin_loss multilabel_margin_loss nansum
    native_norm nll_loss nll_loss2d norm prod segment_reduce std std_mean sum trace var var_mean
"""
POINTWISE = """
    _add_relu _masked_scale _prelu_kernel _thnn_fused_gru_cell _thnn_fused_lstm_cell
    _transform_bias_rescale_qkv binary_cross_entropy binary_cross_entropy_with_logits
    floor_divide glu hardswish huber_loss linalg_cross log_sigmoid mse_loss prelu
    rrelu_with_noise rsub smooth_l1_loss soft_margin_loss
"""
INTERPOLATE = """
    _grid_sampler_2d_cpu_fallback _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d cudnn_grid_sampler grid_sampler_2d grid_sampler_3d
    upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
    upsample_nearest2d upsample_nearest3d upsample_trilinear3d
"""
FREE = frozenset(" ".join([MAKE, MOVE, CHOOSE, NORMALISE, ADD_UP, POINTWISE, INTERPOLATE]).split())
OTHERS = {
    "torchvision": frozenset(["nms", "ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool"]),
    "torchaudio": frozenset(["forced_align", "rnnt_loss_forward"]),
}
"""Free operations of other libraries, by their namespace."""

ENDINGS = ("_", "_copy", "_backward", "_backward_data", "_forward", "_functional")
"""What stands after the name of an operation that does the same in another way."""


@cache
def is_free(func: Any) -> bool:
    """Return whether an operation costs no MACs; what is not known is not free."""
    if func.namespace in {"prim", "prims", "profiler", "c10d", "_c10d_functional"}:
        return True
    name = func.overloadpacket.__name__
    if func.namespace in OTHERS:
        return bool(_bases(name) & OTHERS[func.namespace])
    if func.namespace != "aten":
        return False
    return not _bases(name).isdisjoint(FREE) or any(map(_is_light, [func, *_relatives(name)]))


def _is_light(func: Any) -> bool:
    return bool({torch.Tag.pointwise, torch.Tag.inplace_view} & set(func.tags)) or func.is_view


def _bases(name: str) -> set[str]:
    """Return the name, and those of which it is a variant."""
    return {name} | {name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)}


def _relatives(name: str) -> list[Any]:
    """Return the operations of which this one is a variant, such as `eq` of `eq_`."""
    packets = [getattr(torch.ops.aten, base, None) for base in _bases(name) - {name, ""}]
    return [
        getattr(packet, overload)
        for packet in packets
        if packet is not None
        for overload in packet.overloads()
    ]
