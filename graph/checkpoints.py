"""Where the graph stops for a person. A checkpoint node only asks: it runs again from its top on every answer."""

from __future__ import annotations

from langgraph.types import interrupt

from assay.errors import DecisionError
from assay.graph.services import Services
from assay.records.decisions import Decision, Question
from assay.records.entries import EntryKind


async def ask(services: Services, question: Question) -> Decision:
    """Return the decision on a question, stopping the run until there is one that counts.

    An answer without the digest of what was shown, without a credential, or of a kind that is not
    allowed is recorded as refused, and the question is asked again with the reason. A decision is
    found by the digest of the question: when anything that was shown has changed since, the old
    answer is void and the question is asked anew.
    """
    recorded = await services.ledger.find(question.run, f"decision:{question.digest}")
    if recorded is not None:
        return Decision.model_validate(recorded.body["decision"])
    await services.ledger.append(
        question.run,
        EntryKind.QUESTION_ASKED,
        f"question:{question.digest}",
        {"question": question.model_dump(mode="json"), "digest": question.digest},
        unit=question.unit,
    )
    async with services.settled:
        services.settled.notify_all()
    request = question.request()
    refusals = 0
    while True:
        answer = interrupt(request)
        try:
            decision = services.people.accept(answer, question)
        except DecisionError as error:
            refusals += 1
            await services.ledger.append(
                question.run,
                EntryKind.DECISION_REFUSED,
                f"refused:{question.digest}:{refusals}",
                {"question": question.id, "reason": error.message},
                unit=question.unit,
            )
            request = {**question.request(), "refused": error.message}
            continue
        await services.ledger.append(
            question.run,
            EntryKind.DECISION_MADE,
            f"decision:{question.digest}",
            {"decision": decision.model_dump(mode="json")},
            unit=question.unit,
        )
        return decision
