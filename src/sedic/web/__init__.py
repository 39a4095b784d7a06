"""The page of ``sedic web``: a thin layer over ``Encoder`` and ``Decoder``.

``work`` compresses, decodes and edits, without a browser; ``views`` makes HTML of results;
``storage`` has the visitors' files; ``page`` lays the page out with gradio and ``events`` has its
event handlers; ``door`` refuses all requests that the page does not need; ``server`` runs it.
``events``, ``page`` and ``server`` need the extra ``sedic[web]``.
"""

from sedic.web.limits import Limits as Limits
