"""A network that learns, and all that resuming needs: optimiser, average, schedule."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from napari_smlm_diffusion.errors import SmlmError
from napari_smlm_diffusion.training import checkpoints
from napari_smlm_diffusion.training.distributed import Processes
from napari_smlm_diffusion.training.ema import Ema
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import LearningStage

_WEIGHT_DECAY = 1e-4
# A training of minutes has no time for the warm-up of a long one: it takes this share at most.
_WARM_SHARE = 0.05


class Learner:
    """A stage in training.

    Attributes
    ----------
    step : int
        Steps done.
    minutes : float
        Time they took, of all sessions together.
    history : list of dict
        A validation each: step, loss and metrics.
    saved : int or None
        Step of the checkpoint, if there is one.
    """

    def __init__(self, stage: LearningStage, settings: TrainingSettings) -> None:
        self.stage, self.settings = stage, settings
        self.network = stage.network
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.rate, weight_decay=_WEIGHT_DECAY
        )
        self.ema = Ema(self.network, settings.ema_halflife)
        self.step, self.minutes = 0, 0.0
        self.history: list[dict[str, float]] = []
        self.saved: int | None = None
        self._best: dict[str, Any] = {}
        self._worse = 0

    @property
    def fraction(self) -> float:
        """Part done of what limits the training first, steps or minutes."""
        settings = self.settings
        return max(self.step / settings.steps, self.minutes / settings.minutes)

    @property
    def rate(self) -> float:
        """Learning rate of the next step: a warm-up, then half a cosine."""
        warm = max((self.step + 1) / self.settings.warmup_steps, self.fraction / _WARM_SHARE)
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.fraction)))
        return self.settings.rate * min(1.0, warm) * cosine

    @property
    def done(self) -> bool:
        """Whether the end is reached, or so many validations brought nothing better."""
        patience = self.settings.patience
        return self.fraction >= 1.0 or (patience is not None and self._worse >= patience)

    def learn(self, loss: Tensor, processes: Processes, minutes: float) -> float:
        """Take a step down the gradient of a loss; return the mean loss of all processes.

        Parameters
        ----------
        loss : Tensor
            Of this process's frames.
        processes : Processes
            Those that take the same step.
        minutes : float
            Time used so far; that of process 0 counts.

        Raises
        ------
        SmlmError
            If loss or gradient is not finite; the weights are then those before the step.
        """
        rate = self.rate
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        numbers = (float(loss.detach()) / processes.size, minutes if processes.leads else 0.0)
        mean, self.minutes = processes.average(self.network, numbers)
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), self.stage.clip))
        if not (math.isfinite(mean) and math.isfinite(norm)):
            raise self._diverged(mean, norm, rate)
        self.optimizer.step()
        self.ema.update(self.network, self.settings.batch)
        self.step += 1
        return mean

    def _diverged(self, loss: float, norm: float, rate: float) -> SmlmError:
        kept = "no checkpoint was written yet"
        if self.saved is not None:
            kept = f"the checkpoint of step {self.saved} is untouched"
        return SmlmError(
            f"training {self.stage.name} stopped in step {self.step + 1}: the loss is {loss:g} and "
            f"its gradient {norm:g}, at a learning rate of {rate:.3g}; {kept}. Train with a lower "
            f"rate, {self.settings.rate / 3:.1g} for example, and in float32",
            field=("learning_rate", "precision"),
        )

    def judged(self, numbers: dict[str, float]) -> None:
        """Take note of a validation of the averaged weights."""
        self.history.append({"step": self.step, **numbers})
        if self.settings.patience is None:
            return
        if numbers["loss"] < self._best.get("loss", math.inf):
            weights = {k: v.clone() for k, v in self.ema.state.items()}
            self._best, self._worse = {"loss": numbers["loss"], "weights": weights}, 0
        else:
            self._worse += 1

    def finish(self, loss: float) -> None:
        """Give the network the averaged weights of validation loss `loss`, or better ones."""
        better = self._best.get("loss", math.inf) < loss
        self.network.load_state_dict(self._best["weights"] if better else self.ema.state)

    def save(self, folder: Path) -> None:
        """Write the checkpoint; raises as `checkpoints.write`."""
        state = {
            "settings": self.settings.model_dump_json(),
            "stage": self.stage.name,
            "step": self.step,
            "minutes": self.minutes,
            "history": self.history,
            "best": self._best,
            "worse": self._worse,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.state_dict(),
        }
        checkpoints.write(folder, state)
        self.saved = self.step

    def load(self, folder: Path) -> None:
        """Take over a checkpoint; raises as `checkpoints.read`."""
        state = checkpoints.read(folder)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        self.step, self.minutes = state["step"], state["minutes"]
        self.history, self._best, self._worse = state["history"], state["best"], state["worse"]
        self.saved = self.step
