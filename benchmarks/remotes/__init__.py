"""The remotes that benchmarks talk to, each started on a free port when first asked for and stopped at the end."""

from benchmarks.remotes.fleet import Remotes as Remotes
from benchmarks.remotes.programs import program as program
