"""The arithmetic of `integer`: what a careful implementer of the same formats gets.

sums             exact sums of products
requantization   from sums, or from one format, to another: multiply, add, shift, round once
jobs             layers with weights, prepared
rules            layers that stay in their bottoms' format
level            the layers of a network
"""
