{%- from tpldir ~ "/map.jinja" import settings with context %}
{%- set wanted = settings.dependencies %}
{%- if wanted.enabled %}

{%- if wanted.os_packages %}
dockerstorage-os-packages:
  pkg.installed:
    - pkgs: {{ wanted.os_packages | json }}
{%- endif %}

{%- if wanted.python_packages %}
# Without bin_env, pip is that of Salt's own Python; in an onedir salt-pip.
dockerstorage-python-packages:
  pip.installed:
    - pkgs: {{ wanted.python_packages | json }}
{%- if wanted.index_url is defined %}
    - index_url: {{ wanted.index_url | json }}
{%- endif %}
{%- if wanted.find_links is defined %}
    - find_links: {{ wanted.find_links | json }}
    - no_index: {{ (wanted.index_url is not defined) | json }}
{%- endif %}
    # the states that follow need them
    - reload_modules: true

# So do the running minion's beacon and jobs. Where salt-call runs the states, they are its alone.
dockerstorage-modules-refreshed:
  module.run:
    - saltutil.refresh_modules: []
    - onchanges:
      - pip: dockerstorage-python-packages
{%- endif %}
{%- endif %}
