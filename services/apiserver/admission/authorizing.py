"""What expressions learn of the authorizer: whether the caller, or a ServiceAccount, may do something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.apiserver.admission.attributes import Attributes as Request
from services.apiserver.authentication.users import AUTHENTICATED, User, account_groups, account_name
from services.apiserver.authorization.attributes import Attributes
from services.apiserver.authorization.authorizer import Authorizer

if TYPE_CHECKING:
    from services.apiserver.admission.conditions import Authorize
    from services.apiserver.cel.library.access import Asked


def answering(authorizer: Authorizer) -> Authorize:
    """Allowed, why, and what went wrong: nothing does."""

    def answer(request: Request, asked: Asked) -> tuple[bool, str, str]:
        user = request.user
        if asked.account is not None:
            namespace, name = asked.account
            user = User(account_name(namespace, name), (*account_groups(namespace), AUTHENTICATED))
        if asked.path:
            question = Attributes(user, asked.verb, path=asked.path)
        else:
            question = Attributes(
                user, asked.verb, asked.namespace, asked.group, "*", asked.resource, asked.subresource,
                asked.name, fields=asked.fields,
            )  # fmt: skip
        decision = authorizer.decide(question)
        return decision.allowed, decision.reason, ""

    return answer
