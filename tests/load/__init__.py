"""Load tests: ``python -m tests.load`` compares, in one run, Conductor with doing without it.

The same worker is measured behind the same Caddy twice: through Conductor, and
directly (or through fcgiwrap, for CGI). Rounds are interleaved, figures are
held to limits, and a JSON and an HTML report are written.

- ``comparisons``: the table of what is compared, under which loads;
  ``targets``: what is asked and the programs behind it; ``workers/``: these.
- ``rounds``: runs the table; ``stage``: Caddy and the temporary directory;
  ``processes``: the programs' owner.
- ``generators``: the open and the closed loop; ``client``: their connection;
  ``framing``, ``timetable``, ``alarm``: what these stand on.
- ``latency``, ``results``: what is kept; ``thresholds``: what it is held to;
  ``report``, ``page``, ``charts``: what is written; ``machine``: where it was.

The generator shares the machine with what it measures. It takes about as much
processor time for a request as wrk does, and its share is in the report.
"""
