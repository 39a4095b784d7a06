"""The page of ``sedic web``: a thin layer over ``Encoder`` and ``Decoder``.

``work`` does what is asked for, without a browser; ``views`` says it in HTML; ``storage`` has the
visitors' files; ``page`` is laid out with gradio and ``events`` is behind it; ``door`` lets in only
what the page needs; ``server`` runs it. ``events``, ``page`` and ``server`` need the extra
``sedic[web]``.
"""

from sedic.web.limits import Limits as Limits
