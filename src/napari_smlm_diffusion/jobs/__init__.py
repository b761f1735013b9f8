"""Jobs: generators that string the steps together, for the command line, the widget, a cluster."""
