{%- from tpldir ~ "/map.jinja" import settings, state with context %}
include:
  - .dependencies
{%- if settings.beacon.enabled %}
{{ state('beacon', 'dockerstorage_formula.watched', 'dockerstorage') }}
{%- else %}
dockerstorage-beacon:
  dockerstorage_formula.unwatched:
    - name: dockerstorage
{%- endif %}
