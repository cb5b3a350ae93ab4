"""Commands of `openstack`. One module for each noun; `plugin` registers them, `commands` has what all of them share."""
