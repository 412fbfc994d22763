"""An optimizer's first step, by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from modelbench.measurement.memory.live import Live

Options = Mapping[str, Any]
Formula = Callable[[Tensor, Tensor, Options], Tensor]
"""Parameter, gradient and the group's options give the first step at a learning rate of one."""


def _decayed(p: Tensor, g: Tensor, o: Options) -> Tensor:
    """Add what pulls the weights to zero to the gradient (L2 regularisation)."""
    whole: Tensor = g + o["weight_decay"] * p
    return whole


def _sgd(p: Tensor, g: Tensor, o: Options) -> Tensor:
    g = _decayed(p, g, o)  # the momentum's buffer begins as the gradient
    step: Tensor = g * (1 + o["momentum"]) if o["nesterov"] else g
    return step


def _adam(p: Tensor, g: Tensor, o: Options) -> Tensor:
    g = g if o.get("decoupled_weight_decay") else _decayed(p, g, o)
    step: Tensor = g / (g.abs() + o["eps"])  # both moments are corrected to g and g squared
    return step + o["weight_decay"] * p if o.get("decoupled_weight_decay") else step


def _adagrad(p: Tensor, g: Tensor, o: Options) -> Tensor:
    g = _decayed(p, g, o)
    step: Tensor = g / ((g.square() + o["initial_accumulator_value"]).sqrt() + o["eps"])
    return step


def _rmsprop(p: Tensor, g: Tensor, o: Options) -> Tensor:
    g, share = _decayed(p, g, o), 1 - o["alpha"]
    centred = (share * g).square() if o["centered"] else torch.zeros_like(g)
    step: Tensor = g / ((share * g.square() - centred).sqrt() + o["eps"])
    return step


# Adam: Kingma and Ba 2015; AdamW: Loshchilov and Hutter 2019; Adagrad: Duchi et al. 2011.
FORMULAS: Mapping[type[Optimizer], Formula] = {
    SGD: _sgd, Adam: _adam, AdamW: _adam, Adagrad: _adagrad, RMSprop: _rmsprop,
}  # fmt: skip
LOOSE = 1e-3
"""Share of a step by which it may differ from the formula's."""


@dataclass(frozen=True)
class Before:
    """The parameters before the first step, and the optimizer that will take it."""

    optimizer: Optimizer
    parameters: Mapping[str, Tensor]
    copies: Mapping[str, Tensor]

    @classmethod
    def of(cls, optimizer: Optimizer, parameters: Mapping[str, Tensor]) -> Before:
        """Copy the parameters."""
        copies = {name: p.detach().clone() for name, p in parameters.items()}
        return cls(optimizer, parameters, copies)

    def unmoved(self) -> list[str]:
        """Name the parameters that are what they were."""
        return [n for n, p in self.parameters.items() if torch.equal(p.detach(), self.copies[n])]

    def visible(self, name: str) -> bool:
        """Return whether a step can be seen in a parameter's last bits, for its gradient."""
        parameter, before = self.parameters[name], _exact(self.copies[name])
        if parameter.grad is None:
            return False
        formula, group = self._formula(), self._group(parameter)
        gradient = _exact(parameter.grad)
        step = gradient if formula is None else formula(before, gradient, group)
        least = torch.finfo(parameter.dtype).eps * before.abs()
        return bool((group["lr"] * step.abs() > least).any())

    def _formula(self) -> Formula | None:
        return next((f for kind, f in FORMULAS.items() if isinstance(self.optimizer, kind)), None)

    def _group(self, parameter: Tensor) -> Options:
        groups = self.optimizer.param_groups
        return next(g for g in groups if any(parameter is p for p in g["params"]))

    def wrong(self) -> str | None:
        """Name the parameter whose step differs most from the formula's, if one does.

        Raises LookupError where no formula is known for the optimizer.
        """
        formula = self._formula()
        if formula is None:
            raise LookupError
        worst, worst_by = None, 1.0
        for name, parameter in self.parameters.items():
            if parameter.grad is None:
                continue
            group = self._group(parameter)
            before, after = _exact(self.copies[name]), _exact(parameter)
            gradient = _exact(parameter.grad) * (-1 if group.get("maximize") else 1)
            wanted = before - group["lr"] * formula(before, gradient, group)
            # A float32 weight cannot move by less than its last bit.
            least = torch.finfo(parameter.dtype).eps * float(before.abs().max())
            allowed = LOOSE * float((wanted - before).abs().max()) + 2 * least
            by = float((after - wanted).abs().max()) / max(allowed, 1e-30)
            if by > worst_by:
                worst, worst_by = name, by
        return worst


@dataclass(frozen=True)
class Keeps:
    """What an optimizer holds, in multiples of its parameters."""

    state: float
    """Tensors like the parameter that it keeps; a part of one where it keeps rows and columns."""
    temporary: int
    """Tensors like the parameter that it makes, at most at a time, while it steps."""

    @classmethod
    def of(cls, make: Callable[[list[Tensor]], Optimizer]) -> Keeps:
        """Find out by the second step of a small parameter.

        Raises what the optimizer raises, which may take no dense gradients.
        """
        probe = torch.nn.Parameter(torch.ones(32, 32))
        probe.grad = torch.ones(32, 32)
        optimizer = make([probe])
        optimizer.step()
        kept = [v for v in optimizer.state[probe].values() if isinstance(v, Tensor) and v.ndim]
        state = sum(tensor.numel() for tensor in kept) / probe.numel()
        live = Live()
        live.add([probe, probe.grad, list(optimizer.state[probe].values())])
        before = live.now
        with live:
            optimizer.step()
        return cls(state, round((live.most - before) / probe.nbytes))


def _exact(tensor: Tensor) -> Tensor:
    """Return it in double precision, on the CPU: MPS has none."""
    return tensor.detach().cpu().double()
