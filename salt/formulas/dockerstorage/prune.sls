{%- from tpldir ~ "/map.jinja" import arguments, job with context %}
include:
  - .dependencies
{{ job('prune', 'dockerstorage.prune', arguments('prune')) }}
