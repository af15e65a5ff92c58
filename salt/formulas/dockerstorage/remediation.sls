{%- from tpldir ~ "/map.jinja" import arguments, job with context %}
include:
  - .dependencies
{{ job('remediation', 'dockerstorage.remediate', arguments('remediation'), true, false) }}
