"""In-app: a notice that is delivered by being stored; its reader finds it in the inbox."""

from service.notify.model import Message, Outcome, Result


class InApp:
    async def send(self, message: Message) -> Result:
        return Result(Outcome.OK, reason="stored")
