"""The rules that look at the numbers of a caffemodel; without one these modules are not even imported."""
