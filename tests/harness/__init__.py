# SPDX-License-Identifier: Apache-2.0
"""Real processes for the tests: brokers, Redis, orchestrators, workers, a programmable server."""
