"""Where pods come from: the manifest folder and the API server.

Belongs here: learning of definitions and handing them over in full. May not be here: what follows from them.
"""
