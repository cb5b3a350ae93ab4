"""Rules on metadata definitions. Reading relies on the query: a namespace that the caller may not know of is never found."""

from partage.policies import checks
from partage.policies.checks import documented

_NAMESPACES = "/v2/metadefs/namespaces"
_NAMESPACE = _NAMESPACES + "/{namespace}"

GET_NAMESPACE = "get_metadef_namespace"
GET_NAMESPACES = "get_metadef_namespaces"
MODIFY_NAMESPACE = "modify_metadef_namespace"
ADD_NAMESPACE = "add_metadef_namespace"
DELETE_NAMESPACE = "delete_metadef_namespace"
GET_OBJECT = "get_metadef_object"
GET_OBJECTS = "get_metadef_objects"
MODIFY_OBJECT = "modify_metadef_object"
ADD_OBJECT = "add_metadef_object"
DELETE_OBJECT = "delete_metadef_object"
LIST_RESOURCE_TYPES = "list_metadef_resource_types"
GET_RESOURCE_TYPE = "get_metadef_resource_type"
ADD_ASSOCIATION = "add_metadef_resource_type_association"
REMOVE_ASSOCIATION = "remove_metadef_resource_type_association"
GET_PROPERTY = "get_metadef_property"
GET_PROPERTIES = "get_metadef_properties"
MODIFY_PROPERTY = "modify_metadef_property"
ADD_PROPERTY = "add_metadef_property"
REMOVE_PROPERTY = "remove_metadef_property"
GET_TAG = "get_metadef_tag"
GET_TAGS = "get_metadef_tags"
MODIFY_TAG = "modify_metadef_tag"
ADD_TAG = "add_metadef_tag"
ADD_TAGS = "add_metadef_tags"
DELETE_TAG = "delete_metadef_tag"
DELETE_TAGS = "delete_metadef_tags"

_READ = checks.ADMIN_OR_READER_OF_NAMESPACE
_WRITE = f"rule:{checks.METADEF_ADMIN}"

RULES = [
    documented(GET_NAMESPACE, _READ, "See a namespace.", "GET", _NAMESPACE),
    documented(
        GET_NAMESPACES, checks.ADMIN_OR_OWNER_READER, "List namespaces; the target is the caller's project.", "GET", _NAMESPACES
    ),
    documented(MODIFY_NAMESPACE, _WRITE, "Change a namespace.", "PUT", _NAMESPACE),
    documented(ADD_NAMESPACE, _WRITE, "Create a namespace.", "POST", _NAMESPACES),
    documented(DELETE_NAMESPACE, _WRITE, "Delete a namespace, or all that it defines of a kind.", "DELETE", _NAMESPACE),
    documented(GET_OBJECT, _READ, "See an object.", "GET", _NAMESPACE + "/objects/{name}"),
    documented(GET_OBJECTS, _READ, "List objects.", "GET", _NAMESPACE + "/objects"),
    documented(MODIFY_OBJECT, _WRITE, "Change an object.", "PUT", _NAMESPACE + "/objects/{name}"),
    documented(ADD_OBJECT, _WRITE, "Create an object.", "POST", _NAMESPACE + "/objects"),
    documented(DELETE_OBJECT, _WRITE, "Delete an object.", "DELETE", _NAMESPACE + "/objects/{name}"),
    documented(LIST_RESOURCE_TYPES, _READ, "List types of resources.", "GET", "/v2/metadefs/resource_types"),
    documented(GET_RESOURCE_TYPE, _READ, "See the types that a namespace is for.", "GET", _NAMESPACE + "/resource_types"),
    documented(ADD_ASSOCIATION, _WRITE, "Say that a namespace is for a type.", "POST", _NAMESPACE + "/resource_types"),
    documented(REMOVE_ASSOCIATION, _WRITE, "Say that it no longer is.", "DELETE", _NAMESPACE + "/resource_types/{name}"),
    documented(GET_PROPERTY, _READ, "See a property.", "GET", _NAMESPACE + "/properties/{name}"),
    documented(GET_PROPERTIES, _READ, "List properties.", "GET", _NAMESPACE + "/properties"),
    documented(MODIFY_PROPERTY, _WRITE, "Change a property.", "PUT", _NAMESPACE + "/properties/{name}"),
    documented(ADD_PROPERTY, _WRITE, "Create a property.", "POST", _NAMESPACE + "/properties"),
    documented(REMOVE_PROPERTY, _WRITE, "Delete a property.", "DELETE", _NAMESPACE + "/properties/{name}"),
    documented(GET_TAG, _READ, "See a tag.", "GET", _NAMESPACE + "/tags/{name}"),
    documented(GET_TAGS, _READ, "List tags.", "GET", _NAMESPACE + "/tags"),
    documented(MODIFY_TAG, _WRITE, "Change a tag.", "PUT", _NAMESPACE + "/tags/{name}"),
    documented(ADD_TAG, _WRITE, "Create a tag.", "POST", _NAMESPACE + "/tags/{name}"),
    documented(ADD_TAGS, _WRITE, "Create many tags.", "POST", _NAMESPACE + "/tags"),
    documented(DELETE_TAG, _WRITE, "Delete a tag.", "DELETE", _NAMESPACE + "/tags/{name}"),
    documented(DELETE_TAGS, _WRITE, "Delete all tags.", "DELETE", _NAMESPACE + "/tags"),
]
