"""The autograd graph of a loss: counted, as a short tree, and as TensorBoard's Graphs tab shows it.

Nothing is traced: forward hooks tell which module made which node, and autograd keeps the edges anyway.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from torch import Tensor, nn

from ..guards.first_batch import undisturbed
from ..step import Step
from .tensors import tensors_of

Node = Any  # torch.autograd.graph.Node: its subclasses are made by torch as they come up
LINES = 40
VIEWS = {"T", "Transpose", "Permute", "View", "UnsafeView", "Unsqueeze", "Expand", "ToCopy", "Slice", "AsStrided"}


@dataclass(frozen=True)
class GraphFacts:
    """The autograd graph of the loss.

    Attributes:
        operations: how many of each kind, most frequent first.
        depth: operations on the longest way from the loss to a parameter.
        tree: from the loss backwards, a line an operation, with the parameters that enter there.
    """

    operations: dict[str, int]
    depth: int
    tree: list[str]


class Graph:
    """The nodes between a loss and the parameters it depends on.

    Args:
        loss: what the graph ends in.
        module: names the parameters.
        made_by: for a node, the path of the module that made it; see `makers`.
    """

    def __init__(self, loss: Tensor, module: nn.Module, made_by: Makers | None = None) -> None:
        self.root: Node = loss.grad_fn
        self.made_by = made_by or Makers()
        self._names = {id(p): name for name, p in module.named_parameters()}
        self._shapes = {name: p.shape for name, p in module.named_parameters()}
        self.nodes = list(reversed(backwards([self.root])))  # forward order: a node after all that it needs

    @property
    def operations(self) -> list[Node]:
        return [node for node in self.nodes if self.parameter(node) is None]

    def parameter(self, node: Node) -> str | None:
        """The name of the parameter (or other leaf) that a node stands for; None for an operation."""
        variable = getattr(node, "variable", None)
        return None if variable is None else self._names.get(id(variable), "leaf")

    def facts(self) -> GraphFacts:
        counted = Counter(kind(node) for node in self.operations)
        return GraphFacts(dict(counted.most_common()), self.depth(), self.tree())

    def depth(self) -> int:
        """Operations on the longest way from the loss to a leaf."""
        depths: dict[Node, int] = {}
        for node in self.nodes:
            below = max((depths[child] for child in children(node)), default=0)
            depths[node] = below + (self.parameter(node) is None)
        return depths[self.root]

    def order(self) -> list[str]:
        """The parameters in the order in which the forward pass first uses them."""
        first: dict[str, int] = {}
        for node in self.operations:
            for child in children(node):
                if (name := self.parameter(child)) is not None:
                    first[name] = min(first.get(name, node._sequence_nr()), node._sequence_nr())
        return sorted(first, key=lambda name: first[name])

    def tree(self) -> list[str]:
        """From the loss backwards; branches are indented, a branch that meets an earlier line ends there."""
        lines: list[str] = []
        seen: set[Node] = set()
        waiting = [(self.root, 0)]
        while waiting:
            node, level = waiting.pop()
            if node in seen:
                lines.append(f"{'  ' * level}{kind(node)} (above)")
                continue
            seen.add(node)
            parameters = {child: name for child in children(node) if (name := self._enters(child)) is not None}
            marks = f" ← {', '.join(parameters.values())}" if parameters else ""
            lines.append(f"{'  ' * level}{kind(node)}{marks}")
            branches = [child for child in children(node) if child not in parameters]
            waiting += [(child, level + (len(branches) > 1)) for child in reversed(branches)]
        rest = len(lines) - LINES
        return [*lines[:LINES], f"… {rest} more"] if rest > 0 else lines

    def _enters(self, node: Node) -> str | None:
        """The parameter that enters an operation at this child."""
        leaf = entering(node)
        return None if leaf is None else self.parameter(leaf)

    def graph_def(self) -> bytes:
        """A serialised GraphDef: an operation a node, inside the scope of the module that made it."""
        names = self._node_names()
        graph = GraphDef()
        if any(node in self.made_by.readers for node in self.nodes):
            graph.node.append(NodeDef(name="batch", op="Batch"))
        for node in self.nodes:
            inputs = [names[child] for child in children(node)]
            inputs += ["batch"] if node in self.made_by.readers else []
            made = NodeDef(name=names[node], op="Parameter" if self.parameter(node) else kind(node), input=inputs)
            shape = self.made_by.shapes.get(node, self._shapes.get(self.parameter(node) or ""))
            if shape is not None:
                described = made.attr["_output_shapes"].list.shape.add()
                for size in shape:
                    described.dim.add(size=size)
            graph.node.append(made)
        data: bytes = graph.SerializeToString()
        return data

    def _node_names(self) -> dict[Node, str]:
        """Unique names; the scopes are the module's path, as TensorBoard folds them."""
        names: dict[Node, str] = {}
        used: Counter[str] = Counter()
        for node in self.nodes:
            path = self.parameter(node) or ".".join(filter(None, (self.made_by.paths.get(node, ""), kind(node))))
            name = path.replace(".", "/")
            used[name] += 1
            names[node] = name if used[name] == 1 else f"{name}_{used[name] - 1}"
        return names


class Makers:
    """Which module made which node of the graph."""

    def __init__(self) -> None:
        self.paths: dict[Node, str] = {}
        self.shapes: dict[Node, Sequence[int]] = {}
        self.readers: set[Node] = set()  # operations that a module applied to something without a gradient: the batch
        self.outputs: dict[str, Any] = {}

    def note(self, path: str, given: Any, output: Any) -> None:
        """A module's forward pass is over: what hangs on its output and on none of its inputs is its own."""
        self.outputs[path] = output
        entered = tensors_of(given)
        inputs = {tensor.grad_fn for tensor in entered}
        made = [tensor for tensor in tensors_of(output) if tensor.grad_fn is not None]
        for tensor in made:
            self.shapes.setdefault(tensor.grad_fn, tuple(tensor.shape))
        # What its own parts have made is passed through: between two of them it may have done something itself.
        below = backwards([t.grad_fn for t in made], stop=lambda node: node in inputs)
        own = [node for node in below if node not in self.paths]
        self.paths.update((node, path) for node in own)
        if any(not tensor.requires_grad for tensor in entered):
            self.readers.update(node for node in own if _first(node))


@contextmanager
def makers(module: nn.Module) -> Iterator[Makers]:
    """Notes, while a forward pass runs inside, which module makes which node."""
    found = Makers()

    def hook(path: str) -> Any:
        return lambda _module, args, kwargs, output: found.note(path, [list(args), kwargs], output)

    handles = [
        part.register_forward_hook(hook(path), with_kwargs=True) for path, part in module.named_modules() if path != ""
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def kind(node: Node) -> str:
    """The operation whose gradient a node computes: `AddmmBackward0` -> `Addmm`."""
    return re.sub(r"Backward\d*$", "", str(node.name()).rpartition("::")[2])


def children(node: Node) -> list[Node]:
    """What a node hands its gradient on to."""
    return [child for child, _ in node.next_functions if child is not None]


def entering(node: Node) -> Node | None:
    """The leaf that a node is, or shows in another shape."""
    while kind(node) in VIEWS and len(children(node)) == 1:
        node = children(node)[0]
    return node if hasattr(node, "variable") else None


def _first(node: Node) -> bool:
    """Whether an operation needs nothing but parameters (and what has no gradient)."""
    return entering(node) is None and all(entering(child) is not None for child in children(node))


def backwards(roots: Iterable[Node], stop: Any = lambda node: False) -> list[Node]:
    """All nodes from the roots on, each before those it hands its gradient to; `stop` keeps one and its way out."""
    done: dict[Node, None] = {}  # in the order in which they are left: a node after all below it
    entered: set[Node] = set()
    waiting = [(root, False) for root in roots if not stop(root)]
    while waiting:  # a loop, since recurrent networks are deeper than Python's stack
        node, left = waiting.pop()
        if left:
            done[node] = None
        elif node not in entered:
            entered.add(node)
            waiting.append((node, True))
            waiting += [(child, False) for child in children(node) if not stop(child)]
    return list(reversed(done))


def model_graph(step: Step, batch: Any) -> bytes:
    """A GraphDef of one batch's loss, for TensorBoard; the module is left as it was."""
    with undisturbed(step), makers(step) as made_by:
        return Graph(step.training_step(batch, 0), step, made_by).graph_def()
