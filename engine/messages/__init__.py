"""Every command and reply as a typed class, and the tables that validation and docs come from.

``parse(address, args)`` gives a command; ``reply.address`` and ``reply.args()`` are what is sent.
"""

from engine.messages.capabilities import capabilities
from engine.messages.commands import PROTO, TRACK_KEYS, VERBS, Ask, Command, Verb
from engine.messages.keys import KEYS, At, Keys
from engine.messages.parameters import PARAMETERS, Parameter
from engine.messages.replies import REPLIES, Fail, Reply, parse_reply
from engine.messages.spec import Arg, Message, Scalar, TrackRef
from engine.messages.table import ENTRIES, TABLE, Entry, parse, request_number

__all__ = [
    "ENTRIES", "KEYS", "PARAMETERS", "PROTO", "REPLIES", "TABLE", "TRACK_KEYS", "VERBS", "Arg",
    "Ask", "At", "Command", "Entry", "Fail", "Keys", "Message", "Parameter", "Reply", "Scalar",
    "TrackRef", "Verb", "capabilities", "parse", "parse_reply", "request_number",
]  # fmt: skip
