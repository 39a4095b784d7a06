"""The page of ``sedic web``: a thin layer over ``Encoder`` and ``Decoder``.

``work`` does what is asked for, without a browser; ``views`` says it in HTML; ``page`` lays it out
with gradio; ``door`` lets in only what the page needs; ``server`` runs it. The last three need the
extra ``sedic[web]``.
"""

from sedic.web.limits import Limits as Limits
