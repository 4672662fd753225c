"""Compound commands: if, while, for, case, and redirections around any of them."""

from __future__ import annotations

from services.runtime.shell import checks, expand
from services.runtime.shell.commands import Commands
from services.runtime.shell.redirection import Redirection
from services.runtime.shell.state import Break, Continue
from services.runtime.shell.syntax import Case, Counting, For, If, List, Redirected, While, Word


class Compounds(Commands):
    """The part of a shell that chooses and repeats."""

    async def commands(self, items: List) -> None:
        raise NotImplementedError

    async def breathe(self) -> None:
        raise NotImplementedError

    async def conditional(self, node: If) -> None:
        for condition, body in node.arms:
            if await self.test(condition):
                await self.commands(body)
                return
        self.status = 0
        await self.commands(node.otherwise)

    async def test(self, condition: List) -> bool:
        self.careless += 1
        try:
            await self.commands(condition)
        finally:
            self.careless -= 1
        return self.status == 0

    async def loop(self, node: While) -> None:
        status = 0
        self.loops += 1
        try:
            while await self.test(node.condition) != node.until:
                if not await self.turn(node.body):
                    break
                status = self.status
        except Break as jump:
            self.outer(jump)
        finally:
            self.loops -= 1
        self.status = status

    async def iterate(self, node: For) -> None:
        words = self.arguments if node.words is None else await self.fields(node.words)
        self.status = 0
        self.loops += 1
        try:
            for word in list(words):
                self.set(node.name, word)
                if not await self.turn(node.body):
                    break
        finally:
            self.loops -= 1

    async def count(self, node: Counting) -> None:
        self.status = 0
        self.loops += 1
        try:
            self.calculated(await self.word(node.first))
            while (condition := await self.word(node.condition)) == "" or self.calculated(condition):
                if not await self.turn(node.body):
                    break
                await self.breathe()
                self.calculated(await self.word(node.step))
        finally:
            self.loops -= 1

    async def turn(self, body: List) -> bool:
        """One round of a loop; False to leave it."""
        try:
            await self.commands(body)
        except Break as jump:
            self.outer(jump)
            return isinstance(jump, Continue)
        return True

    def outer(self, jump: Break) -> None:
        if jump.levels > 1 and self.loops > 1:
            jump.levels -= 1
            raise jump

    async def select(self, node: Case) -> None:
        subject = await self.word(node.word)
        self.status = 0
        falling = False
        for patterns, body, ending in node.arms:
            if not falling and not await self.chosen(subject, patterns):
                continue
            await self.commands(body)
            if ending == ";;":
                return
            falling = ending == ";&"

    async def chosen(self, subject: str, patterns: tuple[Word, ...]) -> bool:
        for word in patterns:
            if checks.matches(subject, await self.guarded(expand.pattern(self.itself(), word))):
                return True
        return False

    async def redirected(self, node: Redirected) -> None:
        async with Redirection(self.itself(), node.redirects) as made:
            if made:
                await self.command(node.command)
            else:
                self.status = self.failed_redirection()
