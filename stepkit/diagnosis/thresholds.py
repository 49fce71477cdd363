"""Every number that a rule compares with, in one table, each with its reason.

"Healthy" means: what all built-in experiments showed over five seeds (Adam-like optimizers, learning rates of 1e-3 to
5e-3, 90 to 600 steps). A threshold keeps a factor of ten or more from these wherever the fault itself allows it.
"""

from __future__ import annotations

# -- how much must be seen ----------------------------------------------------------------------------------------
STEPS = 20  # steps below which nothing but a number gone wrong is judged
LEARNING_STEPS = 60  # steps from which one may ask whether anything was learnt: the shortest built-in run has 90
EARLY = 0.25  # of a run not yet ended: before, a warm-up or a first plateau looks like a fault
VALIDATIONS = 5  # from which a course of validations can be told from chance
LOOKS = 8  # statistics (every tenth step) from which medians of quarters mean something
ROWS = 4  # steps of the later half from which "by layer" means something: where layers' charts alone are there, 80
FEW = 5  # steps from which gradients can be seen to explode: a run may not live longer

# -- gradients ------------------------------------------------------------------------------------------------------
VANISHED = 1e-3  # of the last layer's norm, the median over the later half; healthy layers lie between 0.04 and 2
EXPLODED = 1e3  # the same, above
LAYERS = 3  # layers with a gradient below which "by layer" says nothing
MOSTLY = 0.9  # of the steps a fault by layer must be seen in: a single odd batch is none
GROWN = 30.0  # times the norm of the first steps; healthy runs stay below 7 times, and their loss falls meanwhile
WORSE = 0.5  # of the first loss, by which the loss must lie above it where gradients are said to explode
FIRST = 20  # steps whose median is the scale that a run began with
SPIKES = 3  # such steps before they are called exploding: one outlier in the data is no fault of the training
OVERFLOWS = 0.01  # share of steps with a gradient that is not finite, under float16: its scaler finds its scale so
CLIPPED = 0.95  # share of steps in which the clipping bites: a clip against rare spikes bites in a few per cent
CUT = 0.5  # and what it leaves of the norm in the median step: cutting off less does little harm
NOISY = 10.0  # noise scale over batch size, with two standard errors of doubt against it; digits begin with 2, and
# McCandlish et al. 2018 call 1 the balance of time and samples

# -- movement -------------------------------------------------------------------------------------------------------
RATIO = (1e-4, 1e-2)  # the band of |Δθ|/|θ| that charts show
MARGIN = 3.0  # beyond the band: the healthy medians of a quarter of the run lie between 1e-3 and 1e-2 at their largest
FALLEN = 0.5  # of the first loss: where it fell so far, small updates were large enough
RESTING = 0.1  # of the steps, in one piece, with a learning rate of zero: schedules end in zero for a step or an epoch

# -- units ----------------------------------------------------------------------------------------------------------
DEAD = 0.5  # mean share of units that are zero for a whole batch; healthy: up to 0.11
BATCH = 16  # samples below which a layer must be dead as a whole: a unit that is zero half the time is so in all of 4
DEAD_LAYER = 0.9  # the worst layer's
SATURATED = 0.5  # mean share of activations at the ends of a bounded function, from the beginning on
SATURATED_LAYER = 0.9  # the worst layer's; a confident last sigmoid ends there, but does not begin there

# -- learning -------------------------------------------------------------------------------------------------------
FLAT = 0.02  # of the first loss: a loss that fell by less has not fallen; healthy losses fall by 18 % or more
NOISE = 2.0  # standard errors by which a figure must stand out from the batches' own scatter
CHANCE = 0.98  # of the loss of guessing: a model that is better by less has learnt nothing of the input
RISEN = 0.25  # of its minimum, by which the validation loss ends above it; healthy: up to 0.16, being noise
LOST = 0.05  # and of all that was gained since the start: a loss of 0.03 instead of 0.02 is no harm
TRAIN_FELL = 0.1  # of the training loss at that minimum, by which it fell since
