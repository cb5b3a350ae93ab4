"""Rules on metadata definitions. Reading relies on the query: a namespace that the caller may not see is not found."""

from partage.policies import checks
from partage.policies.checks import document_rule

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
    document_rule(GET_NAMESPACE, _READ, "See a namespace.", "GET", _NAMESPACE),
    document_rule(
        GET_NAMESPACES, checks.ADMIN_OR_OWNER_READER, "List namespaces; the target is the caller's project.", "GET", _NAMESPACES
    ),
    document_rule(MODIFY_NAMESPACE, _WRITE, "Change a namespace.", "PUT", _NAMESPACE),
    document_rule(ADD_NAMESPACE, _WRITE, "Create a namespace.", "POST", _NAMESPACES),
    document_rule(DELETE_NAMESPACE, _WRITE, "Delete a namespace, or all of its definitions of a kind.", "DELETE", _NAMESPACE),
    document_rule(GET_OBJECT, _READ, "See an object.", "GET", _NAMESPACE + "/objects/{name}"),
    document_rule(GET_OBJECTS, _READ, "List objects.", "GET", _NAMESPACE + "/objects"),
    document_rule(MODIFY_OBJECT, _WRITE, "Change an object.", "PUT", _NAMESPACE + "/objects/{name}"),
    document_rule(ADD_OBJECT, _WRITE, "Create an object.", "POST", _NAMESPACE + "/objects"),
    document_rule(DELETE_OBJECT, _WRITE, "Delete an object.", "DELETE", _NAMESPACE + "/objects/{name}"),
    document_rule(LIST_RESOURCE_TYPES, _READ, "List resource types.", "GET", "/v2/metadefs/resource_types"),
    document_rule(
        GET_RESOURCE_TYPE, _READ, "See a namespace's associations with resource types.", "GET", _NAMESPACE + "/resource_types"
    ),
    document_rule(ADD_ASSOCIATION, _WRITE, "Associate a namespace with a resource type.", "POST", _NAMESPACE + "/resource_types"),
    document_rule(
        REMOVE_ASSOCIATION, _WRITE, "Remove the association with a resource type.", "DELETE", _NAMESPACE + "/resource_types/{name}"
    ),
    document_rule(GET_PROPERTY, _READ, "See a property.", "GET", _NAMESPACE + "/properties/{name}"),
    document_rule(GET_PROPERTIES, _READ, "List properties.", "GET", _NAMESPACE + "/properties"),
    document_rule(MODIFY_PROPERTY, _WRITE, "Change a property.", "PUT", _NAMESPACE + "/properties/{name}"),
    document_rule(ADD_PROPERTY, _WRITE, "Create a property.", "POST", _NAMESPACE + "/properties"),
    document_rule(REMOVE_PROPERTY, _WRITE, "Delete a property.", "DELETE", _NAMESPACE + "/properties/{name}"),
    document_rule(GET_TAG, _READ, "See a tag.", "GET", _NAMESPACE + "/tags/{name}"),
    document_rule(GET_TAGS, _READ, "List tags.", "GET", _NAMESPACE + "/tags"),
    document_rule(MODIFY_TAG, _WRITE, "Change a tag.", "PUT", _NAMESPACE + "/tags/{name}"),
    document_rule(ADD_TAG, _WRITE, "Create a tag.", "POST", _NAMESPACE + "/tags/{name}"),
    document_rule(ADD_TAGS, _WRITE, "Create many tags.", "POST", _NAMESPACE + "/tags"),
    document_rule(DELETE_TAG, _WRITE, "Delete a tag.", "DELETE", _NAMESPACE + "/tags/{name}"),
    document_rule(DELETE_TAGS, _WRITE, "Delete all tags.", "DELETE", _NAMESPACE + "/tags"),
]
