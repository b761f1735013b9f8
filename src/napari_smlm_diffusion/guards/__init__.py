"""What other people's files may ask for, held against what they are, before a library reads them.

A file comes from anywhere: it may be cut short, or made to fill the memory, to open another file or
to run code. Each guard is one call of a reader, and raises `InputError` in a sentence.
"""
