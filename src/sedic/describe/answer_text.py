"""Extracts the final answer of a language model: without thoughts, channels and small talk.

A chat model's raw text has parts that are not the answer: thoughts between tags, channels, the
marks between turns, "Sure! Here is the description:". They are removed. Some texts are no answer at
all: a refusal, an HTML page, the error message of a proxy. They raise ``DescriberError``.

The regular expressions are anchored or look ahead a bounded number of characters, and long gaps are
shortened first, so that hostile text takes about linear time.
"""

from __future__ import annotations

import re
from http import HTTPStatus

from sedic.describe.description import one_line
from sedic.errors import DescriberError


class RefusalError(DescriberError):
    """The model will not describe this picture; asking again would not help."""


_GAPS = re.compile(r"\s{3,}")
_NAMES = r"(?:\w{1,20}:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|analysis|scratchpad)"
_THOUGHT_BEGINS = re.compile(
    rf"<{_NAMES}(?:\s[^<>]{{0,80}})?>|\[THINK\]|◁think▷|<unused94>|<\|channel>"
    r"|<\|(?:begin_of_thought|start_thinking)\|>",
    re.IGNORECASE,
)
_THOUGHT_ENDS = re.compile(
    rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<unused95>|<channel\|>"
    r"|<\|(?:end_of_thought|end_thinking)\|>",
    re.IGNORECASE,
)

# The channels of OpenAI's open models: analysis (thoughts), commentary (calls of tools), final.
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]{0,200}(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
)
_MESSAGE_ENDS = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_BARE_CHANNELS = re.compile(r"\s*analysis.*assistant\s?final", re.DOTALL)  # the marks are lost

_ANSWER_BEGINS = re.compile(
    r"<(answer|final_answer|final|response|output|solution)>", re.IGNORECASE
)
_FINAL_LABEL = re.compile(
    r"^[*#_ \t]{0,8}final (?:answer|description|response|output|caption)[*_ \t]{0,8}:[*_ \t]{0,8}",
    re.IGNORECASE | re.MULTILINE,
)

_TURN_ENDS = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|return|end_response)\|>"
    r"|<end_of_turn>|<end_of_utterance>|</s>|<eos>|<｜end▁of▁sentence｜>",
    re.IGNORECASE,
)
_ROLE = re.compile(
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|start\|>|<s>|<bos>|<\||<｜)?\s*"
    r"(?P<role>assistant|model|user|system)\s*(?:<\|end_header_id\|>|\|>|｜>|:|\n)\s*",
    re.IGNORECASE,
)
_OTHER_MARKS = re.compile(r"<\|\w{1,40}\|>|<｜[^｜<>]{1,40}｜>|</?s>|<bos>|<eos>|\[/?INST\]")


def final_text(answer: str) -> str:
    """The part of a model's ``answer`` that is meant for the reader; its content is not checked.

    In a text with thoughts that is the text after the last thought; in a text with channels, the
    last message of the final channel (or the arguments of a tool call); of several turns, the
    first. Raises ``DescriberError`` if there are only thoughts.
    """
    text = _GAPS.sub(lambda gap: "\n\n" if "\n" in gap[0] else "  ", answer)
    text = _first_turn(_without_thoughts(_last_message(text)))
    if labels := list(_FINAL_LABEL.finditer(text)):
        text = text[labels[-1].end() :]
    for begin in reversed(list(_ANSWER_BEGINS.finditer(text))):
        inside = text[begin.end() :].partition(f"</{begin[1]}>")[0]
        if inside.strip():
            text = inside
            break
    text = text.strip()
    if not text and answer.strip():
        raise DescriberError("the model's answer holds only its thoughts, no description")
    return text


def _last_message(text: str) -> str:
    if bare := _BARE_CHANNELS.match(text):
        return text[bare.end() :]
    messages: dict[str, str] = {}
    for mark in _CHANNEL.finditer(text):
        ends = _MESSAGE_ENDS.search(text, mark.end())
        body = text[mark.end() : ends.start() if ends else len(text)]
        if body.strip():
            messages[mark[1].casefold()] = body
    if not messages and "<|channel|>" not in text:
        return text
    return messages.get("final") or messages.get("commentary") or ""


def _without_thoughts(text: str) -> str:
    """The text after the last thought; if there is none, the text around the thoughts."""
    parts: list[str] = []
    position = 0
    for ends in _THOUGHT_ENDS.finditer(text):
        begins = _THOUGHT_BEGINS.search(text, position, ends.start())
        # Where a thought only ends, the prompt had its beginning: all before it is thought.
        if begins:
            parts.append(text[position : begins.start()])
        else:
            parts.clear()
        position = ends.end()
    rest = text[position:]
    if begins := _THOUGHT_BEGINS.search(rest):
        rest = rest[: begins.start()]
    return rest if rest.strip() else " ".join(parts).strip()


def _first_turn(text: str) -> str:
    """The text up to the end of the model's turn; some models go on and write the user's turn,
    too."""
    for turn in map(str.strip, _TURN_ENDS.split(text)):
        role = _ROLE.match(turn)
        if role and role["role"].casefold() in ("user", "system"):
            continue
        words = _OTHER_MARKS.sub(" ", turn[role.end() :] if role else turn)
        if words.strip():
            return words
    return ""


_SUBJECT = r"(?:description|caption|summary|overview|depiction|answer|json)"
_OPENERS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"```\w{0,12}\s*\n",
        # "Sure!", "Of course,": a word of agreement and a mark after it
        r"(?:sure(?: thing)?|certainly|of course|absolutely|definitely|okay|ok|alright|got it|yes"
        r"|understood|great(?: question)?|no problem|gladly|hello|hi(?: there)?|gerne|natürlich"
        r"|klar|selbstverständlich|bien sûr|certainement|d'accord|¡?claro(?: que sí)?"
        r"|¡?por supuesto|certo|claro|конечно)\s*[!.,:…–—-]{1,3}\s",
        r"(?:好的|当然可以|当然|没问题|可以)[，,。！!：:]\s*",
        r"(?:はい|もちろん(?:です)?|承知しました|かしこまりました)[、。！!]\s*",
        # "Here is the description:", "I'd be happy to help!"
        r"(?:here(?: is|'s| are)|below is|this is|the following is)\b[^.:!\n{]{0,120}"
        rf"\b{_SUBJECT}\b[^.:!\n{{]{{0,80}}[:.!\n]\s*",
        r"here you (?:go|are)\s*[!.:,]\s*|as requested\s*[:,.]\s*",
        r"(?:i'?d|i would|i'?ll|i will|i'?m|i am|let me)(?: be)? (?:happy|glad|pleased|gladly"
        r"|describe|help)\b[^.:!\n]{0,120}[.:!\n]\s*",
        r"thank(?:s| you) for [^.:!\n]{0,120}[.:!\n]\s*",
        r"hier ist [^.:\n]{0,80}beschreibung[^.:\n]{0,60}[:.]\s*",
        r"voici [^.:\n]{0,80}(?:description|légende)[^.:\n]{0,60}[:.]\s*",
        r"aquí (?:está|tienes|tiene) [^.:\n]{0,80}descripción[^.:\n]{0,60}[:.]\s*",
        r"(?:以下是|下面是|这是|這是)[^：:\n。]{0,30}(?:描述|说明|說明)[^：:\n。]{0,10}[：:]\s*",
        r"(?:以下は|こちらは|以下に)[^：:\n。]{0,30}(?:説明|描写)[^：:\n。]{0,12}[：:。]\s*",
        # "Description:" and headings
        r"(?:(?:overall|image|picture|photo|scene|detailed|short|brief|full|final|alt)\s)*"
        rf"{_SUBJECT}(?: of (?:the|this) (?:image|picture|photo|scene))?\s*"
        r"(?:[*_\"'`]{0,3}:[*_\"'`]{0,3}|\n)\s*",
        r"overall\s*[*_]{0,3}:[*_]{0,3}\s*|(?:image|picture|photo) *\n\s*",
        r"(?:beschreibung|descripción|descrizione|описание)\s*:\s*",
        r"(?:图片|整体|总体|画像|全体の?)?(?:描述|说明|説明|概要)[：:]\s*",
    )
]
_MARKUP = re.compile(r"[\s*_#>`“”\"]+")
_CLOSER = re.compile(
    r"(?<=[.!?。\n])\s{0,4}(?:please )?(?:let me know|feel free|i hope|hope this|would you like"
    r"|do you want|if you (?:need|would|have|want|'d)|is there anything|anything else)\b.*\Z",
    re.IGNORECASE | re.DOTALL,
)
_MOST_OPENERS = 8


def without_small_talk(text: str) -> str:
    """A description without the sentences and labels around it that address the reader."""
    text = text.replace("’", "'").replace("**", "").replace("```", "\n```").strip()
    for _ in range(_MOST_OPENERS):
        marks = _MARKUP.match(text) if not text.startswith("```") else None
        start = marks.end() if marks else 0
        opener = next((m for p in _OPENERS if (m := p.match(text, start))), None)
        if opener is None:
            break
        text = text[opener.end() :]
    text = _CLOSER.sub("", text.replace("```", " "))
    text = text.lstrip(" \t\r\n#>*_`").rstrip(" \t\r\n*_`")
    quoted = len(text) > 1 and text[0] + text[-1] in ('""', "“”", "「」")
    return text[1:-1] if quoted and text[0] not in text[1:-1] else text


_CANNOT = (
    r"(?:can'?t|can ?not|could not|couldn'?t|unable|not able|won'?t|will not|don'?t|do not|didn'?t"
    r"|not (?:allowed|permitted|comfortable)|no (?:image|picture|photo)|decline|refuse)"
)
_REFUSALS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # "I'm sorry, but I can't ...", "Unfortunately, I am unable to ..."
        r"(?:oh,? |well,? )?(?:(?:i'?m|i am|we'?re|we are) (?:\w{2,6} )?(?:sorry|afraid)|sorry"
        r"|(?:my |our )?apologies|(?:i|we) apologi[sz]e|unfortunately|regrettably)"
        rf"\b.{{0,100}}?\b{_CANNOT}\b",
        r"(?:i'?m|i am) (?:\w{2,6} )?sorry[.!]*\Z",
        rf"(?:i|we)(?: am|'m| are|'re| must| have to| need to| really| simply)? {_CANNOT}\b",
        r"i'?m (?:designed|programmed|just|only) (?:to|an?|not)\b",
        r"as an? (?:ai|a\.i\.|artificial|large|language|text[- ]based|virtual)\b.{0,60}"
        rf"(?:{_CANNOT}|model)",
        r"(?:this|that|your|the) (?:request|prompt|content)\b.{0,60}"
        r"\b(?:violat|(?:usage|content|safety) polic|policies|guideline)",
        r"(?:this|that|your|the) (?:request|prompt)\b.{0,60}"
        r"\b(?:blocked|not allowed|refused|rejected|cannot|can't)",
        r"(?:the|this|your) (?:image|picture|photo)\b.{0,12}\b(?:cannot|could not|can't|couldn't"
        r"|was not|wasn't|failed to|did not|didn't) (?:be )?(?:processed|load(?:ed)?|decoded"
        r"|analy[sz]ed|uploaded|attached|provided|received|described)\b",
        r"(?:please|could you|can you|kindly)(?: please)? (?:provide|upload|share|attach|send)\b"
        r".{0,60}\b(?:image|picture|photo)",
        r"(?:it (?:looks|seems|appears)\b.{0,12}\b|there (?:is|was) |there's )?no (?:image|picture"
        r"|photo)\b.{0,20}\b(?:processed|loaded|attached|provided|uploaded|received|included"
        r"|in (?:your|this|the) (?:message|request|prompt|conversation))\b",
        r"it (?:looks|seems|appears)\b.{0,12}\b(?:the|your|an?) (?:image|picture|photo)\w* "
        r"(?:is|was|did|does|has)(?:n't| not)\b",
        r"抱歉|很抱歉|对不起|對不起|我(?:无法|無法|不能)|无法(?:描述|识别)",
        r"申し訳|すみませんが|ごめんなさい|お手伝いできません|.{0,30}お答えできません|죄송|ขออภัย|ขอโทษ",
        r"(?:je suis )?désolée?\b|je ne (?:peux|suis)\b|lo siento\b|no puedo\b|mi dispiace\b"
        r"|desculpe\b|não posso\b|(?:es )?tut mir leid\b|entschuldigung\b|leider kann\b"
        r"|ich kann .{0,40}\bnicht\b|извините\b|к сожалению\b|простите\b|я не могу\b",
    )
]
_PHRASES = [re.escape(status.phrase) for status in HTTPStatus if status >= 400]
_ERRORS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"<(?:!doctype|\?xml|html|head|body)\b",
        r"(?:http[/\d. ]{0,10}|error[: ]{1,2}|status[: ]{1,2}|code[: ]{1,2}){0,3}[45]\d\d\b"
        rf"[\s:,.-]{{0,3}}(?:{'|'.join(_PHRASES)}|page not found|error|request|server|bad|$)",
        rf"(?:{'|'.join(phrase for phrase in _PHRASES if ' ' in phrase)})\b",
        rf"(?:{'|'.join(_PHRASES)})[.!]?\Z",
        r"(?:\w{0,40}(?:error|exception)|fatal|traceback)\s{0,2}[:(\[]|traceback \(most recent",
        r"(?:an?|the|some) .{0,20}?\b(?:error|exception) (?:has )?occurr?ed\b|something went wrong",
        r"no healthy upstream|(?:upstream|gateway|proxy|backend|origin)(?: server)? "
        r"(?:connect|request|error|timed? ?out)",
        r"(?:the )?(?:model|server|service|engine) (?:is )?(?:currently |temporarily )?"
        r"(?:overloaded|unavailable|busy)\b",
        r"(?:the )?(?:request|connection|operation) (?:was |has )?(?:timed out|refused|reset|failed"
        r"|aborted|blocked|rejected)",
        r"(?:access denied|rate limit|quota exceeded|too many requests|(?:cuda|gpu)? ?out of memory"
        r"|invalid api key|unauthori[sz]ed[.!]?\Z)",
    )
]
_BEGINNING = 400  # characters in which a refusal or an error is recognised


def check_is_description(text: str) -> None:
    """Raise ``RefusalError`` for a refusal, ``DescriberError`` for an error page or message.

    ``text`` is without small talk. Only its first 400 characters are examined, because a
    description may mention an error later.
    """
    start = one_line(text[:_BEGINNING].replace("’", "'")).strip("*_#>`\"' ")
    if any(pattern.match(start) for pattern in _REFUSALS):
        raise RefusalError(f"the model refuses to describe this picture: {start[:120]}")
    if any(pattern.match(start) for pattern in _ERRORS):
        raise DescriberError(f"the model's answer is an error message: {start[:120]}")


_PLACEHOLDER = re.compile(
    r"(?:(?:the|your|an?|insert|put|add|write|new|overall|full|short|brief|image|picture|scene|whole"
    r"|detailed|object|some|actual|real|corrected) )*"
    r"(?:description|text|string|str|details?|name|caption|overall|summary|value|content"
    r"|placeholder|here|words?|n/?a|none|null|nil|undefined|unknown|todo|tbd|lorem ipsum)"
    r"(?: (?:here|goes|text|string|of|the|this|image|picture|scene|whole|object|as|a))*",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"[<\[{(][^<>\[\]{}()]*[>\]})]|\$\{?\w+\}?|%\w")


def is_placeholder(text: str) -> bool:
    """Whether a text is a placeholder for a description: "...", "<overall>", "your text"."""
    bare = text.strip().strip("\"'*_`")
    if not any(char.isalnum() for char in bare):
        return True
    return bool(_BRACKETED.fullmatch(bare) or _PLACEHOLDER.fullmatch(bare.rstrip(" .!…")))
