"""Provisioning files, from which Grafana loads the data source and the dashboard at its start."""

from typing import Final

DASHBOARDS: Final = "/var/lib/grafana/dashboards"
"""Where Grafana looks for the dashboard's file."""

DATA_SOURCE: Final = """\
# Grafana: /etc/grafana/provisioning/datasources/. Made by `make dashboards`.
apiVersion: 1
datasources:
  - name: Prometheus
    uid: prometheus
    type: prometheus
    access: proxy
    # Where Prometheus answers queries.
    url: http://127.0.0.1:9090
    jsonData:
      # Prometheus's scrape_interval: $__rate_interval is at least four times that.
      timeInterval: 15s
"""

PROVIDER: Final = f"""\
# Grafana: /etc/grafana/provisioning/dashboards/. Made by `make dashboards`.
apiVersion: 1
providers:
  - name: bitcoin
    type: file
    allowUiUpdates: false
    options:
      # The directory of the dashboard's JSON file.
      path: {DASHBOARDS}
"""
