"""Tool rules for `execute`: every part of a command line is judged, and the strictest decides."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from assay.policies.commands import read_command_line
from assay.policies.parts import Part
from assay.policies.patterns import BREAK, DYNAMIC, CommandPattern, PatternIndex
from assay.policies.rulings import Rule, RuleDecision, strictest
from assay.policies.suspicions import are_spelled, spans_of

_SHOWN: Final = 200


class CommandRules:
    """The rules for one tool that takes a shell command."""

    def __init__(self, rules: Iterable[Rule], *, origin: str) -> None:
        self._origin = origin
        self._rules: dict[str, list[Rule]] = {"deny": [], "ask": [], "allow": []}
        for rule in rules:
            self._rules[rule.effect].append(rule)
        self._index = {
            effect: PatternIndex(CommandPattern(rule.pattern) for rule in listed)
            for effect, listed in self._rules.items()
        }
        self._denied = [(CommandPattern(rule.pattern).words, rule) for rule in self._rules["deny"]]

    def decide(self, command: str) -> RuleDecision:
        """Return the decision on a command line: denied if any part is, allowed only if every part is."""
        if not self._rules["ask"] and not self._rules["allow"]:
            return RuleDecision(outcome="deny", reason="no rule allows any command", part=_shown(command))
        line = read_command_line(command)
        decisions = [decision for part in line.parts for decision in self._judge(part)]
        decisions += [decision for part in line.suspicions for decision in self._suspect(part)]
        decisions += [self._asked(f"a person must look, because {doubt}", command) for doubt in line.doubts]
        if not decisions:
            return RuleDecision(outcome="allow", reason="it runs no command", part=_shown(command))
        return strictest(decisions)

    def _asked(self, reason: str, part: str, rule: Rule | None = None, outcome: str = "ask") -> RuleDecision:
        return RuleDecision(
            outcome="ask" if outcome == "ask" else "deny",
            rule=rule.text if rule else None,
            place=rule.place(self._origin) if rule else "",
            reason=reason,
            part=_shown(part),
        )

    def _judge(self, part: Part) -> Iterator[RuleDecision]:
        """Yield what the rules say of one part."""
        shown = f"`{_shown(part.text)}`"
        forms = () if part.open else part.forms()
        if (rule := self._meets("deny", forms)) is not None:
            yield self._asked(f"{shown} is denied by {rule.text!r}", part.text, rule, "deny")
            return
        if (rule := self._may_meet(forms)) is not None:
            yield self._asked(f"{shown} may turn out to be what {rule.text!r} denies", part.text, rule)
        if (rule := self._mentioned(part)) is not None:
            yield self._asked(f"{shown} may run what {rule.text!r} denies", part.text, rule)
        asking = self._meets("ask", forms)
        if asking is not None:
            yield self._asked(f"{asking.text!r} wants a person to look at {shown}", part.text, asking)
        if not part.wraps and (asking is None or not self._named(part)):
            yield self._allowed(part, shown)

    def _suspect(self, part: Part) -> Iterator[RuleDecision]:
        """Yield a question where something that may be run is denied.

        Where its name is known only when it runs, a rule has to be spelled in the text, all its words.
        """
        if part.words[0].text.startswith(DYNAMIC):
            rule = next((rule for words, rule in self._denied if are_spelled(words, part.mentions)), None)
        else:
            rule = self._meets("deny", forms := part.forms()) or self._may_meet(forms)
        rule = rule or self._mentioned(part)
        if rule is not None:
            shown = part.text if part.text != "…" else "a text"
            yield self._asked(f"{shown!r} stands in it and may be run, and {rule.text!r} denies that", part.text, rule)

    def _named(self, part: Part) -> bool:
        """Whether a rule names the part as it is written. One that asks for it in another form admits nothing new."""
        text = part.full
        return any(
            pattern.covers(text) or (DYNAMIC in text and pattern.may_meet(text))
            for effect in ("ask", "allow")
            for _, pattern in self._index[effect].candidates(text)
        )

    def _allowed(self, part: Part, shown: str) -> RuleDecision:
        for number, pattern in self._index["allow"].candidates(part.full):
            if pattern.covers(part.full):
                rule = self._rules["allow"][number]
                place = rule.place(self._origin)
                reason = f"{shown} is allowed by {rule.text!r}"
                return RuleDecision(outcome="allow", rule=rule.text, place=place, reason=reason, part=_shown(part.text))
        if part.open:
            return self._asked("a person must look, because a plain sh reads it otherwise than bash", part.text)
        if DYNAMIC in part.full:
            for effect in ("allow", "ask"):
                if any(pattern.may_meet(part.full) for _, pattern in self._index[effect].candidates(part.full)):
                    return self._asked(f"what {shown} runs is known only when it runs", part.text)
        return RuleDecision(outcome="deny", reason=f"no rule allows {shown}", part=_shown(part.text))

    def _meets(self, effect: str, forms: Iterable[str]) -> Rule | None:
        for form in forms:
            for number, pattern in self._index[effect].candidates(form):
                if pattern.meets(form) or (effect == "ask" and DYNAMIC in form and pattern.may_meet(form)):
                    return self._rules[effect][number]
        return None

    def _may_meet(self, forms: Iterable[str]) -> Rule | None:
        for form in forms:
            if DYNAMIC in form:
                for number, pattern in self._index["deny"].candidates(form):
                    if pattern.may_meet(form):
                        return self._rules["deny"][number]
        return None

    def _mentioned(self, part: Part) -> Rule | None:
        """Return a rule that denies a command which the part's tokens spell, beginning at any of them.

        In text that shells read in different ways, the first word is enough.
        """
        for span in spans_of(part.mentions):
            text = f"{span.split(BREAK, 1)[0]}{BREAK}{DYNAMIC}" if part.open else span
            for number, pattern in self._index["deny"].candidates(text):
                if pattern.prefix and (pattern.opens(text) or (DYNAMIC in text and pattern.may_meet(text))):
                    return self._rules["deny"][number]
        return None


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
