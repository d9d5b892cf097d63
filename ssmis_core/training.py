"""The training loop: one for every method.

    config = configure("ugmcl", dataset="la", labeled=16)
    run = train(config, run_dir="runs/ugmcl-la-16")

The same call on the same folder goes on where it stopped, to the same result bit for bit on a CPU.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import torch

from ssmis_core.batches import Batch, Batches
from ssmis_core.checkpoints import Cadence, State
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import Dataset, open_dataset
from ssmis_core.devices import autocast, choose_device, reproducible
from ssmis_core.draws import Clock, Draws
from ssmis_core.errors import NonFiniteLoss, UserError
from ssmis_core.files import alone
from ssmis_core.history import TermLog, check_finite
from ssmis_core.host_memory import freed_memory_kept
from ssmis_core.interrupts import StopRequest, stop_requests
from ssmis_core.methods import create_method
from ssmis_core.methods.base import Method, Stage, Step
from ssmis_core.networks.layers import check_patch
from ssmis_core.observers import Observer
from ssmis_core.progress import Progress, Reporter, TerminalReporter
from ssmis_core.quality import watch_pseudo_labels
from ssmis_core.runs import NOT_TERMS, Run
from ssmis_core.seen import Seen
from ssmis_core.validation import Validator, held_out, rows_up_to
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank


def train(
    config: Configuration,
    *,
    run_dir: str | os.PathLike[str],
    data_root: str | os.PathLike[str] | None = None,
    device: str | torch.device = "auto",
    max_seconds: float | None = None,
    report: Reporter | None = None,
    observers: Sequence[Observer] = (),
    watch_quality: bool = False,
) -> Run:
    """Train a method and return its run folder; go on with it when the folder holds a part of the same training.

    max_seconds: stop after so long in this call, with a checkpoint and weights, yet never before one iteration (so 0
    trains one). A Ctrl-C, a kernel interrupt and `ssmis stop` (see `interrupts`) do the same.
    watch_quality: at every log interval compare pseudo-labels with the truth, into quality.csv (see `quality`).
    Raises UserError for bad input before anything is written, NonFiniteLoss when a loss term is NaN or infinite.
    """
    if max_seconds is not None and not max_seconds >= 0:
        raise UserError(f"max_seconds={max_seconds:g}: expected 0 or more")
    device = choose_device(device)
    dataset = open_dataset(config.dataset, data_root, **config.dataset_options)
    with reproducible(config.deterministic):
        torch.manual_seed(Draws(config.seed).key("initialisation"))
        shape = {"num_classes": dataset.num_classes, "dims": config.dims, "channels": dataset.channels}
        method = create_method(config.method, variant=config.variant, **shape, **config.options)
        for network in method.children():
            check_patch(config.patch, network, samples=method.fewest_at_once)
        if Run.finished(run_dir, config):
            return Run(run_dir)
        if watch_quality:
            observers = [*observers, watch_pseudo_labels(run_dir, config, method)]
        training = Training(config, method, dataset, device, report or TerminalReporter(), observers)
        run = Run.create(run_dir, config)
        with alone(run.path, what="training or evaluation"):
            training.open(run, shape=shape, data_root=None if data_root is None else str(Path(data_root).resolve()))
            with stop_requests(run.path) as stop, freed_memory_kept(device):
                training.go(stop, max_seconds)
    return run


class Training:
    """One training in progress: the method, its data, and the state that a checkpoint keeps."""

    def __init__(
        self,
        config: Configuration,
        method: Method,
        dataset: Dataset,
        device: torch.device,
        report: Reporter,
        observers: Sequence[Observer],
    ):
        self.config, self.device, self.report, self.observers = config, device, report, observers
        self.method, self.stages = method.to(device), method.stages(config.iterations)
        self.total = sum(stage.iterations for stage in self.stages)
        labeled, unlabeled = dataset.split(config.labeled)
        labeled, held = held_out(config, dataset, labeled)
        self.validator = Validator(config, dataset, held)
        wanted = labeled + (unlabeled if method.sampling.unlabeled else [])
        self.seen = Seen(dataset, [case.id for case in self.validator.cases])
        with closing(dataset.stream(wanted)) as read:  # a few whole volumes in memory at a time
            cases = map(self.seen.add, read)
            self.bank = VolumeBank(cases, num_classes=dataset.num_classes, device=device, **vars(config.grid))
        self.batches = Batches(
            self.bank,
            labeled=self.bank.samples_of(labeled),
            unlabeled=self.bank.samples_of(unlabeled),
            patch=config.patch,
            sampling=method.sampling,
        )
        if config.compile:
            for network in method.children():
                network.compile()
        self.draws, self.state, self.log = Draws(config.seed), State(), TermLog()
        self.optimisers: dict[str, torch.optim.Optimizer] = {}

    def open(self, run: Run, *, shape: dict[str, int], data_root: str | None) -> None:
        """Bind to a run folder: take up its checkpoint if there is one."""
        self.run = run
        before, now = run.info.get("data_fingerprint"), self.seen.fingerprint
        if before not in (None, now):
            raise UserError(
                f"{run.path}: was trained on other data (fingerprint {before[:12]}, now {now[:12]}); "
                "choose another run_dir"
            )
        self.checkpoint = run.load_checkpoint()
        evaluations = run.rows("evaluations") if self.checkpoint else []  # a damaged file is told while nothing runs
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        run.update(
            status="running",
            error=None,
            shape=shape,
            data_root=data_root,
            **self.seen.told(),
            device=device,
            threads=torch.get_num_threads(),
        )
        if self.checkpoint:
            self.state = State(**self.checkpoint["state"])
            self.state.evaluations = rows_up_to(self.state.done, evaluations, self.state.evaluations)
            self.method.load_state_dict(self.checkpoint["method"])
            self.log.restore(self.checkpoint["log"], self.device)

    def go(self, stop: StopRequest, max_seconds: float | None) -> None:
        """Run the stages from where the state stands; always leaves a usable run folder."""
        self.started, self.before, self.cadence = time.monotonic(), self.state.seconds, Cadence()
        try:
            # the limits are looked at after an iteration: a new run that is stopped at once has weights all the same
            while self.state.stage < len(self.stages):
                self.run_stage(self.stages[self.state.stage], stop, max_seconds)
                if stop or self.out_of_time(max_seconds):
                    break
            finished = self.state.stage == len(self.stages)
            self.save()
            status = "finished" if finished else stop.status or "stopped"
        except BaseException as error:
            told = {"error": str(error)} if isinstance(error, NonFiniteLoss | UserError) else {}
            with suppress(UserError):  # of the two, the error that stopped the training is the one to tell
                self.run.update(status="failed", **told)  # iterations_done stays that of the weights that are there
            raise
        self.run.update(status=status, iterations_done=self.state.done, seconds=round(self.state.seconds, 3))
        self.tell(status)

    def run_stage(self, stage: Stage, stop: StopRequest, max_seconds: float | None) -> None:
        """The loop itself: batch, loss, step, log, validate, checkpoint."""
        self.optimisers = optimisers = self.begin(stage)
        self.method.train()
        while self.state.t < stage.iterations:
            clock = Clock(stage.name, self.state.t, stage.iterations)
            draws = self.draws.at(clock)
            rate = self.set_rates(stage, optimisers, clock)
            draws.seed_dropout()
            batch = self.batches.at(clock, draws)
            looking = [o for o in self.observers if (self.state.done + 1) % o.every == 0]
            views = Views() if looking else None
            own: Step | None = None  # the method's loss: the first that is not of a critic
            for step in self.steps(optimisers, stage, batch, clock, draws, views):
                own, total = (own, {}) if own or step.updates != "main" else (step, {"loss": step.total})
                self.log.add(self.state.done + 1, {**total, **step.terms}, like=step.total)
            self.method.after_step(clock)
            self.state.t, self.state.done = self.state.t + 1, self.state.done + 1
            if views is not None and own is not None:
                for observer in looking:
                    observer.see(clock, batch, own, views, self.bank)
            if self.state.done % self.config.log_every == 0 or self.state.t == stage.iterations:
                self.write_row(stage, rate)
                stop.look()
            if self.validator.due(self.state.done, last=self.state.t == stage.iterations):
                self.validate(stage)
            if stop or self.out_of_time(max_seconds):
                break
            if self.cadence.due():
                with self.cadence.writing():
                    self.save(weights=False)
        if self.state.t == stage.iterations:
            self.end(stage)

    def steps(
        self,
        optimisers: Mapping[str, torch.optim.Optimizer],
        stage: Stage,
        batch: Batch,
        clock: Clock,
        draws: Draws,
        views: Views | None,
    ) -> Iterator[Step]:
        """Take each step the method yields, before it is asked for the next."""
        iterator = self.method.steps(batch, clock, draws, views)
        while True:
            with autocast(self.config.precision, self.device):
                step = next(iterator, None)
            if step is None:
                return
            optimiser = optimisers[step.updates]
            optimiser.zero_grad(set_to_none=True)
            step.total.backward(inputs=stage.optimisers[step.updates].parameters)
            optimiser.step()
            yield step

    def begin(self, stage: Stage) -> dict[str, torch.optim.Optimizer]:
        """Optimisers of a stage, with their state when it is being resumed."""
        optimisers = {name: optimiser.build() for name, optimiser in stage.optimisers.items()}
        if self.checkpoint and self.checkpoint["optimisers"] and self.state.t > 0:
            for name, state in self.checkpoint["optimisers"].items():
                optimisers[name].load_state_dict(state)
        elif self.state.t == 0:
            self.method.begin(stage)
        self.checkpoint = None
        return optimisers

    def end(self, stage: Stage) -> None:
        """Keep the weights that were selected, and move on to the next stage."""
        if self.state.best is not None:
            self.method.load_state_dict(self.state.best["weights"])
            self.run.update(selected=self.state.selected)
            if stage is not self.stages[-1]:  # what the next stage starts from stays on record
                handed_over = {**self.run.info.get("handed_over", {}), stage.name: self.state.selected}
                self.run.update(handed_over=handed_over)
        self.state.stage, self.state.t, self.state.best, self.optimisers = self.state.stage + 1, 0, None, {}

    def set_rates(self, stage: Stage, optimisers: dict[str, torch.optim.Optimizer], clock: Clock) -> float:
        """Set every learning rate to its schedule's; returns that of the main optimiser, for the log."""
        rates = stage.rates(clock.t)
        for name, optimiser in optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rates[name]
        return rates["main"]

    def write_row(self, stage: Stage, rate: float) -> None:
        row = {"iteration": self.state.done, "stage": stage.name, "learning_rate": rate, **self.log.row()}
        self.state.history.append({**row, "seconds": round(self.elapsed(), 3)})
        self.run.write_rows("history", self.state.history)
        self.tell("running")

    def validate(self, stage: Stage) -> None:
        """Score the validation cases; remember the weights when they are the best so far."""
        self.method.eval()
        rows, score = self.validator.score(self.method, self.device, self.state.done)
        self.method.train()
        self.state.evaluations += rows
        self.run.write_rows("evaluations", self.state.evaluations)
        if self.validator.selects_in(stage, final=stage is self.stages[-1]):
            self.state.keep_best(self.method, dice=score, protocol=self.config.protocol)

    def save(self, *, weights: bool = True) -> None:
        """Write the checkpoint and, at a stop, the weights; a number that is not finite is found before either."""
        self.log.check()
        check_finite(self.method, self.state.done)
        self.state.seconds = self.elapsed()
        self.run.save_checkpoint(
            {
                "state": vars(self.state),
                "method": self.method.state_dict(),
                "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
                "log": self.log.state(),
            }
        )
        if weights:
            best = self.state.best
            self.run.save_weights(best["weights"] if best else self.method.state_dict())
            if best or (self.state.t > 0 and self.run.info.get("selected")):  # what an earlier stage selected is past
                self.run.update(selected=self.state.selected)
            self.run.write_rows("history", self.state.history)
            self.run.write_rows("evaluations", self.state.evaluations)

    def elapsed(self) -> float:
        return self.before + time.monotonic() - self.started

    def out_of_time(self, max_seconds: float | None) -> bool:
        return max_seconds is not None and time.monotonic() - self.started >= max_seconds

    def tell(self, status: str) -> None:
        seconds, done = self.elapsed(), self.state.done
        last = self.state.history[-1] if self.state.history else {}
        terms = {key: value for key, value in last.items() if key not in NOT_TERMS}
        self.report(Progress(done, self.total, seconds, seconds / max(1, done) * (self.total - done), terms, status))
