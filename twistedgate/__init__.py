"""twistedgate: an API gateway and HTTP proxy, one Twisted daemon, one INI file.

The words that code, options, log fields and documentation share:

Listener    a bound address with its TLS settings.
Route       match rules, policies and one action.
Upstream    a named set of targets, with their balancer, pools and health.
Target      one address of an upstream.
Policy      a rule that may answer, change or observe an exchange.
Action      what produces the response: proxy, respond, redirect.
Pipeline    one route's policies and action, compiled.
Exchange    one request, its response, and what was learned on the way.
Consumer    an authenticated caller (a Twisted ``IConsumer`` is called a *sink*).
Codec       turns bytes into HTTP messages and back.
Pool        lends upstream connections.
Prober      checks a target's health actively.
downstream  towards the client; upstream: towards the target.
"""

__version__ = "26.11.0"
