"""No rewriting of a denied command comes out allowed: bash and dash themselves are the witnesses."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from assay.policies.rules import RuleBook
from assay.policies.settings import ToolRules

DENYING = RuleBook(ToolRules(deny=("execute(git push *)",), allow=("execute(*)",)))
LISTING = RuleBook(ToolRules(allow=("execute(echo *)", "execute(cat *)", "execute(true)")))

SPELLINGS = (
    "git push", "git 'push'", 'g"i"t push', r"\git push", r"git p\ush", "git pu\\\nsh", "$'git' push",
    r"$'\x67it' push", "git --no-pager push", "git -C . push origin", "X=1 git push", ">out git push", "git >out push",
    "git push 2>&1", "git push <<< x", "'git' $(echo push)", "$(echo git) push", "git `echo push`", "git p*sh",
    "git pus?", "gi{t,x} push", "git\tpush", "  git   push  ", "git push;", "git push # then", "git push &",
    "A=push; git $A", 'B=git; "$B" push', "set -- git push; \"$@\"", "git ${C:-push}", "git ${D-push}",
    'git "${E:=push}"', "eval git push", "command git push", "exec git push", "builtin command git push",
    "env git push", "env -i PATH=\"$PATH\" SPY_LOG=\"$SPY_LOG\" git push", "env -S 'git push'", "nohup git push",
    "nice -n 5 git push", "timeout 5 git push", "timeout -k 1 5 git push", "echo push | xargs git",
    "echo x | xargs -I% git push %", "xargs -a /dev/null git push", "find . -exec git push ';'",
    "find . -maxdepth 0 -exec sh -c 'git push' ';'", "coproc git push", "time git push", "! git push",
)  # fmt: skip

WRAPPINGS: tuple[Callable[[str], str], ...] = (
    lambda c: f"({c}\n)",
    lambda c: f"{{ {c}\n}}",
    lambda c: f"true && {{ {c}\n}}",
    lambda c: f"false || ({c}\n)",
    lambda c: f"echo x | ({c}\n)",
    lambda c: f"echo x; {c}",
    lambda c: f"echo $({c}\n)",
    lambda c: f'echo "a$({c}\n)b"',
    lambda c: "echo `" + re.sub(r"([\\`$])", r"\\\1", c) + "\n`",
    lambda c: f"x=$({c}\n)",
    lambda c: f"echo ${{x:-$({c}\n)}}",
    lambda c: f"echo $(( 0 + $({c}\n) ))",
    lambda c: f"[[ -n $({c}\n) ]]",
    lambda c: f"cat <({c}\n)",
    lambda c: f"if true; then {c}\nfi",
    lambda c: f"if {c}\nthen true; fi",
    lambda c: f"for i in 1; do {c}\ndone",
    lambda c: f"while {c}\nfalse; do true; done",
    lambda c: f"case x in x) {c}\n;; esac",
    lambda c: f"f() {{ {c}\n}}; f",
    lambda c: f"cat <<E\n$({c}\n)\nE\n",
    lambda c: f"cat <<E && true\nx\nE\n{c}",
    lambda c: f"bash <<'E'\n{c}\nE\n",
    lambda c: f"sh -s <<'E'\n{c}\nE\n",
    lambda c: f"bash -c {shlex.quote(c)}",
    lambda c: f"sh -ec {shlex.quote(c)}",
    lambda c: f"bash -o pipefail -c {shlex.quote(c)}",
    lambda c: f"env A=1 bash -c {shlex.quote(c)}",
    lambda c: f"eval {shlex.quote(c)}",
    lambda c: f"trap {shlex.quote(c)} EXIT",
    lambda c: f"echo {shlex.quote(c)} | bash",
    lambda c: f"printf %s {shlex.quote(c)} | sh",
    lambda c: f"bash <<< {shlex.quote(c)}",
    lambda c: f"source <(echo {shlex.quote(c)})",
    lambda c: f"echo 1 | xargs -I% bash -c {shlex.quote(c)}",
    lambda c: f'V={shlex.quote(c)}; bash -c "$V"',
    lambda c: f'V={shlex.quote(c)}; eval "$V"',
    lambda c: f"export V={shlex.quote(c)}; sh -c 'eval \"$V\"'",
)


def before(start: str) -> Callable[[str], str]:
    """Return what gives a command to a program as one argument, the last."""
    return lambda c: f"{start} {shlex.quote(c)}"


EXOTIC: tuple[Callable[[str], str], ...] = (
    *(
        before(start)
        for start in (
            "setsid -w sh -c", "stdbuf -oL sh -c", "ionice -c 3 bash -c", "chrt -o 0 sh -c", "taskset 1 sh -c",
            "script -qc", "flock l -c", "flock l sh -c", "watch -n1", "parallel :::", "su root -c", "sudo -u x sh -c",
            "doas sh -c", "busybox sh -c", "busybox env sh -c", "ssh host", "git submodule foreach", "git rebase -x",
            "git bisect run sh -c", "unshare -r sh -c", "nsenter -t 1 sh -c", "setpriv --reuid 1 sh -c",
            "runuser -u x -- sh -c", "chroot . sh -c", "strace -f sh -c", "gdb --args sh -c", "tmux new -d",
            "screen -dm sh -c", "rsync a b: -e", "xargs -I {} sh -c", "zsh -c", "ksh -c", "dash -c", "ash -c",
            "npm exec -- sh -c", "npx -c", "uv run sh -c", "poetry run sh -c", "tox exec -- sh -c",
            "docker run x sh -c",
            "time -p sh -c", "command eval", "builtin eval", "exec -a x sh -c", "bash -O extglob -c", "bash +x -c",
            "nice -n5 nohup timeout 5 env X=1 sh -c", "/bin/sh -c", "./sh -c", "e'v'al", r"\eval", "trap --",
            "bash -c '$1' x", "sh -c '$0'", "sh -c 'eval \"$0\"'", "mapfile -c 1 x < f -C", "ls | entr sh -c",
        )
    ),
    lambda c: f"python3 -c {shlex.quote('import os; os.system(' + repr(c) + ')')}",
    lambda c: f"perl -e {shlex.quote('system(' + repr(c) + ')')}",
    lambda c: f"git -c alias.x={shlex.quote('!' + c)} x",
    lambda c: f"git grep -O{shlex.quote(c)} x",
    lambda c: f"git grep -nO{shlex.quote(c)} x",
    lambda c: f"git grep --open-files-in-pager={shlex.quote(c)} x",
    lambda c: f"git grep --open={shlex.quote(c)} x",
    lambda c: f"git -c core.pager={shlex.quote(c)} log",
    lambda c: f"pip config --editor={shlex.quote(c)} edit",
    lambda c: f"pip config --editor {shlex.quote(c)} edit",
    lambda c: f"rg --hostname-bin={shlex.quote(c)} x",
    lambda c: f"rg --pre {shlex.quote(c)} x",
    lambda c: f"mypy --python-exec {shlex.quote(c)} x",
    lambda c: f"GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=alias.x GIT_CONFIG_VALUE_0={shlex.quote('!' + c)} git x",
    lambda c: f"export GIT_CONFIG_PARAMETERS={shlex.quote(f'alias.x=!{c}')}; git x",
    lambda c: f"GIT_SSH={shlex.quote(c)} git fetch",
    lambda c: f"script -qc{shlex.quote(c)}",
    lambda c: f"git config alias.x {shlex.quote('!' + c)}",
    lambda c: f"make -f - <<'E'\nall:\n\t{c}\nE\n",
    lambda c: f"vim -c {shlex.quote('!' + c)}",
    lambda c: f"tar cf x y --checkpoint-action=exec={shlex.quote(c)}",
    lambda c: f"find . -execdir sh -c {shlex.quote(c)} +",
    lambda c: f"find . -ok sh -c {shlex.quote(c)} ';'",
    lambda c: f"env -S {shlex.quote('sh -c ' + shlex.quote(c))}",
    lambda c: f"echo {shlex.quote(c)} | at now",
    lambda c: f"echo {shlex.quote(c)} | parallel",
    lambda c: f"echo {shlex.quote(c)} | ssh host",
    lambda c: f"echo {shlex.quote(c)} | xargs -0 sh -c",
    lambda c: f"PROMPT_COMMAND={shlex.quote(c)} bash -i",
    lambda c: f"BASH_ENV=<(echo {shlex.quote(c)}) bash -c true",
    lambda c: f"GIT_SSH_COMMAND={shlex.quote(c)} git fetch",
    lambda c: f"PAGER={shlex.quote(c)} git log",
    lambda c: f"EDITOR={shlex.quote(c)} git commit",
    lambda c: f"bash --rcfile <(echo {shlex.quote(c)}) -i",
    lambda c: f"until {c}\ndo :; done",
    lambda c: f"select x in a; do {c}\nbreak; done",
    lambda c: f"for ((i=0; i<1; i++)); do {c}\ndone",
    lambda c: f"function f {{ {c}\n}}; f",
    lambda c: f"coproc {{ {c}\n}}",
    lambda c: f"cat <<-E\n\t$({c}\n)\n\tE\n",
    lambda c: f"x=([0]=$({c}\n))",
    lambda c: f"a[$({c}\n)]=1",
    lambda c: f"echo ${{x/a/$({c}\n)}}",
    lambda c: f"cat > >({c}\n)",
    lambda c: f"case $({c}\n) in *) ;; esac",
    lambda c: f"[[ x =~ $({c}\n) ]]",
    lambda c: f"(( $({c}\n) + 1 ))",
    lambda c: f"let x=$({c}\n)",
    lambda c: f"declare x=$({c}\n)",
    lambda c: f"$(echo {shlex.quote(c)})",
    lambda c: f"true & {c}",
    lambda c: f"! {{ {c}\n}}",
)  # fmt: skip
"""Ways of other programs, and rarer ones of bash: judged, not executed here."""

FRAGMENTS = (
    "git", "push", "git push", "gi", "t", "echo", "cat", "true", " ", " ", "\n", "\t", ";", "&&", "||", "|", "|&", "&",
    "(", ")", "{ ", "; }", "$(", "`", "'", '"', "\\", "\\\n", "$'", '$"', "#", " #", "<<E", "<<-E", "<<'E'", "\nE\n",
    "\n\tE\n", "<<<", ">f", "2>&1", "&>f", "<&-", "[[ ", " ]]", "[ ", " ]", "((", "))", "$((", "${", "}", "$X", "$@",
    "X=git", "X='git push'", "x=1", "{git,push}", "{", ",", "*", "?", "[gG]it", "~", "!", "if ", "then ", "fi", "for ",
    "in ", "do ", "done", "case ", "esac", ";;", "eval ", "bash -c ", "sh -c ", "env ", "exec ", "command ", "xargs ",
    "time ", "coproc ", "-", "--", "=", ":-", "@P", "\\'", '\\"', "a[0]=", "let ", "function ", "alias ", "<(", "1",
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(SPELLINGS), st.lists(st.sampled_from(WRAPPINGS), max_size=3))
def test_a_wrapped_denied_command_is_never_allowed(spelling: str, wrappings: list[Callable[[str], str]]) -> None:
    """However a denied command is spelled and wrapped, it is denied, or a person is asked."""
    text = spelling
    for wrap in wrappings:
        text = wrap(text)
    assert DENYING.decide("execute", {"command": text}).outcome != "allow", text
    assert LISTING.decide("execute", {"command": text}).outcome != "allow", text


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(SPELLINGS), st.lists(st.sampled_from((*WRAPPINGS, *EXOTIC)), min_size=1, max_size=4))
def test_nor_is_one_that_other_programs_wrap(spelling: str, wrappings: list[Callable[[str], str]]) -> None:
    """Schedulers, tracers, containers, editors, package managers, variables that are run: none of them hides it."""
    text = spelling
    for wrap in wrappings:
        text = wrap(text)
    assert DENYING.decide("execute", {"command": text}).outcome != "allow", text
    assert LISTING.decide("execute", {"command": text}).outcome != "allow", text


def test_each_wrapping_alone_is_seen_through() -> None:
    """None is left to chance; and a harmless command in the simple ones stays allowed, so that this says something."""
    for wrap in (*WRAPPINGS, *EXOTIC):
        assert DENYING.decide("execute", {"command": wrap("git push")}).outcome != "allow", wrap("git push")
    harmless = [DENYING.decide("execute", {"command": wrap("git log")}).outcome for wrap in (*WRAPPINGS, *EXOTIC)]
    assert harmless.count("allow") > len(harmless) // 2


def test_the_spellings_do_run_git_push(runs: Callable[[str, str], list[str]]) -> None:
    """The fuzz above is about something: most of its spellings and wrappings run `git push` in bash."""
    spelled = sum(any("push" in call for call in runs("bash", text)) for text in SPELLINGS)
    wrapped = sum(bool(runs("bash", wrap("git push"))) for wrap in WRAPPINGS)
    assert spelled >= len(SPELLINGS) - 6
    assert wrapped == len(WRAPPINGS)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=14).map("".join))
@example("cat <<E\n`git push`\nE\n")
@example("echo a\\\n#b; git push")
@example("echo x &>f git push")
@example("echo $'\\'; git push #'")
@example("[[ a || git push ]]")
@example("((git push))")
@example("x='a[$(git push)]'; ((x))")
@example("cat - <<E; git push\nE\n")
@example("echo\n\\\ngit push")
@example("[ a\ngit push ]")
@example("true &&{git,push} { x\n}")
@example("cat <<E\n$\\\n(git push)\nE\n")
@example("bash -c - 'git push'")
@example("env ,A=1 =1 git push")
@example("timeout 52>&1 git push")
@example("x&>f A=1 bash -c '(git `echo push`)'")
def test_what_is_allowed_does_not_run_git(runs: Callable[[str, str], list[str]], text: str) -> None:
    """Whatever soup of shell fragments: where bash or dash runs a denied command, it was not allowed."""
    assume(not re.search(r"\(\s*\)", text))  # functions, which could call themselves for ever
    denying = DENYING.decide("execute", {"command": text}).outcome
    listing = LISTING.decide("execute", {"command": text}).outcome
    if denying != "allow" and listing != "allow":
        return
    for shell in ("bash", "sh"):
        calls = runs(shell, text)
        assert denying != "allow" or not any(re.match(r"git push(\s|$)", c) for c in calls), (shell, text, calls)
        assert listing != "allow" or not calls, (shell, text, calls)
