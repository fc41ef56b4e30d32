"""The map of the whole.

    intake → plan → ⏸ask_plan → schedule → (unit …) → schedule → integrate → assay → ⏸ask_delivery → deliver → finish

and each unit's own way, in parallel with its siblings:

    begin → specify → blank → implement → assay → review → assay_doubts → gates → hand_back

Ways back: a refuted claim, a doubt that holds and a gate that blocks return to `implement`; tests
that cannot fail, disputed tests and unproven lines return to `specify`; what does not merge returns to
its unit; a base that moved on returns to `integrate`. Where a person is needed, `ask` asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Checkpointer

from assay.graph import dependencies, implementing, integration, planning, reviewing, routes, specifying, units
from assay.graph.finish import finish
from assay.graph.services import Services
from assay.graph.state import RunState, UnitOutcome, UnitRun

Graph = CompiledStateGraph[Any, Any, Any, Any]


def build_graph(services: Services, checkpointer: Checkpointer = None) -> Graph:
    """Return the compiled graph of a run.

    Args:
        services: what its nodes work with.
        checkpointer: where the state is kept; None leaves that to the host (LangGraph's own server,
            or a graph that this one is a part of).
    """
    graph = StateGraph(RunState)
    _add(graph, services, intake=planning.intake, plan=planning.plan, ask_role=planning.ask_role)
    _add(graph, services, ask_plan=planning.ask_plan, schedule=planning.schedule)
    graph.add_node("unit", build_unit_graph(services))
    _add(graph, services, integrate=integration.integrate, assay=integration.assay, ask_whole=integration.ask_whole)
    _add(graph, services, ask_delivery=integration.ask_delivery, deliver=integration.deliver, finish=finish)

    graph.add_edge(START, "intake")
    graph.add_edge("intake", "plan")
    graph.add_conditional_edges("plan", routes.after_plan, ["plan", "ask_role", "ask_plan", "finish"])
    graph.add_edge("ask_role", "plan")
    graph.add_conditional_edges("ask_plan", routes.after_ask_plan, ["plan", "schedule", "finish"])
    graph.add_conditional_edges("schedule", routes.after_schedule, ["unit", "integrate", "finish"])
    graph.add_edge("unit", "schedule")
    graph.add_conditional_edges("integrate", routes.after_integrate, ["assay", "schedule"])
    graph.add_conditional_edges("assay", routes.after_assay, ["ask_whole", "ask_delivery", "schedule"])
    graph.add_conditional_edges("ask_whole", routes.after_ask_whole, ["ask_delivery", "finish"])
    graph.add_conditional_edges("ask_delivery", routes.after_ask_delivery, ["deliver", "finish"])
    graph.add_conditional_edges("deliver", routes.after_deliver, ["integrate", "finish"])
    graph.add_edge("finish", END)
    return graph.compile(checkpointer=checkpointer, name="assay")


def build_unit_graph(services: Services) -> Graph:
    """Return the compiled graph of one unit."""
    graph = StateGraph(UnitRun, output_schema=UnitOutcome)
    _add(graph, services, begin=dependencies.begin, specify=specifying.specify, blank=specifying.blank)
    _add(graph, services, implement=implementing.implement, assay=implementing.assay, review=reviewing.review)
    _add(graph, services, assay_doubts=reviewing.assay_doubts, gates=reviewing.gates, ask=units.ask)
    _add(graph, services, hand_back=dependencies.hand_back)

    stop = ["ask", "hand_back"]
    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", routes.after_begin, ["specify", "implement", "hand_back"])
    graph.add_conditional_edges("specify", routes.after_specify, ["specify", "blank", *stop])
    graph.add_conditional_edges("blank", routes.after_blank, ["specify", "implement", *stop])
    graph.add_conditional_edges("implement", routes.after_implement, ["specify", "implement", "assay", *stop])
    graph.add_conditional_edges("assay", routes.after_assay_unit, ["implement", "review", *stop])
    graph.add_conditional_edges("review", routes.after_review, ["review", "assay_doubts", *stop])
    graph.add_conditional_edges("assay_doubts", routes.after_doubts, ["implement", "gates"])
    graph.add_conditional_edges("gates", routes.after_gates, ["implement", *stop])
    graph.add_conditional_edges("ask", routes.after_ask, ["specify", "implement", "assay", "review", "hand_back"])
    graph.add_edge("hand_back", END)
    return graph.compile(name="unit")


def _add(graph: Any, services: Services, **nodes: Callable[..., Awaitable[dict[str, Any]]]) -> None:
    for name, node in nodes.items():
        graph.add_node(name, partial(node, services))
