"""What next? Rankings, and optimisers that turn them into the next candidates. No torch here."""

from lib_hps.ranking.factory import OPTIMIZERS, make_optimizer
from lib_hps.ranking.optimizer import Candidate, Optimizer, Role, Round
from lib_hps.ranking.rankings import Ranking

__all__ = ["OPTIMIZERS", "Candidate", "Optimizer", "Ranking", "Role", "Round", "make_optimizer"]
